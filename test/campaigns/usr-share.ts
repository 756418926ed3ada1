// A campaign: at least 10,000 real files and 1 GiB of this machine go into a volume and come back with
// the same sha256 sums, also after kill -9 in the middle of a second put.
//
//   npm run campaign:usr-share [FOLDER]     FOLDER: where the image and the copies go (default: tmp)

import { createHash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pinfold, start } from '../cli/run.js';

const FILES_LEAST = 10_000;
const BYTES_LEAST = 2 ** 30;
/** Where it is too small, larger folders of these are taken as well, until it is enough. */
const MORE = ['/usr/lib', '/usr'];
const MORE_BYTES_LEAST = 2 ** 24;
/** The second put is killed when so many of its files are durable. */
const SYNC_EVERY = 500;
const KILL_AFTER = 3000;

interface Tree {
  files: number;
  bytes: number;
  /** By path: kind, mode and contents, as a text. */
  readonly nodes: Map<string, string>;
}

const chunk = Buffer.allocUnsafe(1024 * 1024);

function sha256(path: string): string {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  for (let got = readSync(fd, chunk); got > 0; got = readSync(fd, chunk)) {
    hash.update(chunk.subarray(0, got));
  }
  closeSync(fd);
  return hash.digest('hex');
}

/** Owners are not kept, so neither are the bits that go with them. */
function look(
  folder: string,
  tree: Tree = { files: 0, bytes: 0, nodes: new Map() },
  at = '',
): Tree {
  for (const name of readdirSync(join(folder, at))) {
    const path = at === '' ? name : `${at}/${name}`;
    const full = join(folder, path);
    const status = lstatSync(full);
    const mode = (status.mode & 0o1777).toString(8);
    if (status.isSymbolicLink()) tree.nodes.set(path, `link ${readlinkSync(full)}`);
    else if (status.isDirectory()) {
      tree.nodes.set(path, `directory ${mode}`);
      look(folder, tree, path);
    } else if (status.isFile()) {
      tree.files++;
      tree.bytes += status.size;
      tree.nodes.set(path, `file ${mode} ${sha256(full)}`);
    }
  }
  return tree;
}

/** Nodes of `a` that are missing or different in `b`. */
function differences(a: Tree, b: Tree): string[] {
  return [...a.nodes].flatMap(([path, node]) => (b.nodes.get(path) === node ? [] : [path]));
}

async function run(...args: string[]): Promise<string> {
  const { exit, stdout, stderr } = await pinfold(...args);
  if (exit !== 0)
    throw new Error(`pinfold ${args.join(' ')}: exit ${exit ?? 'by a signal'}\n${stdout}${stderr}`);
  return stdout.trim();
}

function check(what: string, wrong: readonly string[]): void {
  if (wrong.length > 0) {
    throw new Error(`${what}: ${wrong.length} differ, such as ${wrong.slice(0, 5).join(', ')}`);
  }
  console.log(`${what}: identical`);
}

function foldersOf(parent: string): string[] {
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(parent, entry.name));
}

async function campaign(folder: string): Promise<void> {
  const trees = new Map<string, Tree>();
  let [files, bytes] = [0, 0];
  const more = MORE.flatMap((parent) => foldersOf(parent));
  for (const source of ['/usr/share', ...more]) {
    if (files >= FILES_LEAST && bytes >= BYTES_LEAST) break;
    if (trees.has(source)) continue;
    const tree = look(source);
    const fits = tree.bytes <= BYTES_LEAST && files + tree.files <= 10 * FILES_LEAST;
    if (source !== '/usr/share' && (!fits || tree.bytes < MORE_BYTES_LEAST)) continue;
    trees.set(source, tree);
    files += tree.files;
    bytes += tree.bytes;
  }
  console.log(
    `${[...trees.keys()].join(', ')}: ${files} files, ${(bytes / 2 ** 20).toFixed(0)} MiB`,
  );
  const image = join(folder, 'image');
  const sizes = [
    '--size',
    `${Math.ceil((bytes * 3) / 2 ** 30)}G`,
    '--inode-count',
    String(files * 4),
  ];
  console.log(await run('volume', 'mkfs', image, ...sizes));
  for (const source of trees.keys()) {
    console.log(`put ${source}: ${await run('volume', 'put', image, source, '/')}`);
  }
  console.log(`fsck: ${await run('volume', 'fsck', image)}`);
  await compare(folder, image, trees, 'after the put');
  await killSecondPut(folder, image, trees);
  await compare(folder, image, trees, 'after kill -9');
}

async function compare(
  folder: string,
  image: string,
  trees: ReadonlyMap<string, Tree>,
  when: string,
): Promise<void> {
  for (const [source, tree] of trees) {
    const name = basename(source);
    const back = join(folder, name);
    console.log(`get /${name}: ${await run('volume', 'get', image, `/${name}`, back)}`);
    check(`${source} ${when}`, differences(tree, look(back)));
    rmSync(back, { recursive: true, force: true });
  }
}

/** What was synced of the second copy has to be there, and nothing else may be hurt. */
async function killSecondPut(
  folder: string,
  image: string,
  trees: ReadonlyMap<string, Tree>,
): Promise<void> {
  const [[source, tree]] = trees;
  const flags = ['--sync-every', String(SYNC_EVERY), '--verbose'];
  const put = start({}, 'volume', 'put', image, source, '/second', ...flags);
  await put.shows(`synced ${KILL_AFTER} files`);
  put.child.kill('SIGKILL');
  const { stderr } = await put.ended;
  const synced = Math.max(...[...stderr.matchAll(/synced (\d+) files/g)].map((m) => Number(m[1])));
  console.log(`killed the second put with ${synced} files synced`);
  console.log(`fsck: ${await run('volume', 'fsck', image)}`);
  const back = join(folder, 'second');
  await run('volume', 'get', image, '/second', back);
  const second = look(back);
  rmSync(back, { recursive: true, force: true });
  let whole = 0;
  for (const [path, node] of second.nodes) {
    if (node.startsWith('file') && tree.nodes.get(path) === node) whole++;
  }
  if (whole < synced) throw new Error(`${synced} files were synced, only ${whole} are whole`);
  console.log(`second copy: ${whole} files whole, of ${synced} synced`);
}

async function main(): Promise<void> {
  const base = process.argv.at(2) ?? tmpdir();
  mkdirSync(base, { recursive: true });
  const folder = mkdtempSync(join(base, 'pinfold-campaign-'));
  const start = performance.now();
  try {
    await campaign(folder);
    console.log(`passed in ${((performance.now() - start) / 1000).toFixed(0)} s`);
  } catch (error) {
    console.log(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
