// A process that locks the file it is given, says so, and holds the lock until its input ends.

import { lockFile, openFile } from '../../../native/index.js';

const fd = openFile(process.argv[2] ?? '');
console.log(lockFile(fd).locked ? 'locked' : 'refused');
process.stdin.resume();
