// How faults are described: what each kind takes, what is said about mistakes, and that the text says it all.

import test from 'ava';
import { z } from 'zod';
import {
  checkFaultFits,
  FAULT_KEYS,
  formatFault,
  parseFault,
} from '../../../daemon/faults/spec.js';
import { PinfoldError } from '../../../daemon/protocol/errors.js';
import type { FaultSpec } from '../../../engine/block/faults/index.js';

const seeded = z.object({ seed: z.int().min(0).max(0xffffffff) });

function parse(text: string): FaultSpec {
  return parseFault(text, 'here');
}

test('text and JSON mean the same', (t) => {
  const error: FaultSpec = {
    kind: 'error',
    errno: 'ENOSPC',
    op: ['write', 'zero'],
    range: [
      { from: 0, until: 1048576 },
      { from: 2097152, until: Number.MAX_SAFE_INTEGER },
    ],
    rate: 0.01,
    nth: null,
    once: true,
    seed: 7,
  };
  const text = 'error,errno=ENOSPC,op=write,op=zero,range=0-1M,range=2M-,rate=0.01,once,seed=7';
  t.deepEqual(parse(text), error);
  const fields = { kind: 'error', errno: 'ENOSPC', op: ['write', 'zero'], once: true, seed: 7 };
  t.deepEqual(parseFault({ ...fields, range: ['0-1M', '2M-'], rate: 0.01 }, 'here'), error);
  t.is(formatFault(error), text);
});

for (const [text, whole] of [
  ['error', 'error,errno=EIO'],
  ['error,op=flush,nth=5', 'error,errno=EIO,op=flush,nth=5'],
  ['delay,mean=10ms', 'delay,mean=10ms,distribution=constant,time=wall'],
  ['delay,mean=1ms,p99=9ms', 'delay,mean=1ms,distribution=lognormal,p99=9ms,time=wall'],
  [
    'delay,mean=1s,distribution=uniform,time=virtual,rate=1e-3',
    'delay,mean=1s,distribution=uniform,p99=1980ms,time=virtual,rate=0.001',
  ],
  ['bit-rot,rate=0.5', 'bit-rot,rate=0.5'],
  ['stuck-bits,rate=1,value=1,range=4K-8K', 'stuck-bits,value=1,range=4K-8K,rate=1'],
  ['latent-error,rate=0.001', 'latent-error,rate=0.001'],
  ['misdirected-write,shift=8K', 'misdirected-write,shift=8K,unit=512'],
  ['torn-write,unit=64,keep=random', 'torn-write,keep=random,unit=64'],
  ['lying-flush,op=flush', 'lying-flush,op=flush'],
  ['full-device,free=1M', 'full-device,free=1M'],
] as const) {
  test(`${text} gets defaults and a seed, and its text says it all`, (t) => {
    const spec = parse(text);
    const { seed } = seeded.parse(spec);
    t.is(formatFault(spec), `${whole},seed=${seed}`);
    t.deepEqual(parse(formatFault(spec)), spec);
    t.deepEqual(parse(`${text},seed=${seed}`), spec);
  });
}

test('a rate limit draws nothing, and has no seed', (t) => {
  const text = 'rate-limit,bytes=10M,requests=100,burst=50ms,time=virtual,op=read';
  t.is(formatFault(parse(text)), text);
});

test('each kind has a text', (t) => {
  const needs: Readonly<Record<string, string>> = {
    delay: ',mean=1ms',
    'rate-limit': ',requests=1',
    'bit-rot': ',rate=0.1',
    'stuck-bits': ',rate=0.1',
    'latent-error': ',rate=0.1',
  };
  t.is(FAULT_KEYS.size, 10);
  for (const kind of FAULT_KEYS.keys())
    t.is<string, string>(parse(`${kind}${needs[kind] ?? ''}`).kind, kind);
});

for (const [text, says] of [
  ['eror', /kind is "eror": expected one of error, delay, rate-limit,/],
  ['error,errno=EBADF', /errno is "EBADF": expected one of EIO, ENOSPC, EPERM/],
  ['error,op=wirte', /op is "wirte": expected read, write, zero, trim, flush, cache/],
  ['error,rate=2', /rate is "2": expected a share from 0 to 1/],
  ['error,rate=', /rate is "": expected a share/],
  ['error,rate=0.1,nth=2', /nth and rate exclude each other/],
  ['error,nth=0', /nth is "0": expected a whole number from 1 to/],
  ['error,seed=-1', /seed is "-1": expected a whole number from 0 to 4294967295/],
  ['error,seed=1,seed=2', /seed is \["1","2"\]: expected a whole number/],
  ['error,range=2M-1M', /range is "2M-1M": expected FROM-TO/],
  ['error,range=5', /range is "5": expected FROM-TO/],
  ['error,always', /always has no value, expected always=\.\.\./],
  ['error,mean=1ms', /mean is no option; expected errno, op, range, rate, nth, once, seed/],
  ['delay', /mean is missing: expected a time such as/],
  ['delay,mean=10', /mean is "10": expected a time such as 250us, 10ms or 1\.5s, up to 3600s/],
  ['delay,mean=2h', /mean is "2h"/],
  ['delay,mean=1ms,p99=16ms', /p99 is 16ms: with a mean of 1ms a lognormal .* from 1ms to 14968us/],
  ['delay,mean=1ms,p99=500us', /p99 is 500us: with a mean of 1ms/],
  ['delay,mean=1ms,time=real', /time is "real": expected one of wall, virtual/],
  ['rate-limit', /expected bytes=SIZE or requests=NUMBER/],
  ['rate-limit,bytes=1', /bytes is "1": expected a size from 1K to 1T/],
  ['bit-rot', /rate is missing: expected a share/],
  ['stuck-bits,rate=1,value=2', /value is "2": expected a whole number from 0 to 1/],
  ['torn-write,unit=100', /unit is "100": expected a power of two from 64 to 1M/],
  ['torn-write,op=flush', /op is "flush": expected write,/],
] as const) {
  test(`${text} is refused, with what is expected`, (t) => {
    const error = t.throws(() => parse(text), { instanceOf: PinfoldError });
    t.is(error.code, 'EINVAL');
    t.regex(error.message, /^EINVAL: here: /);
    t.regex(error.message, says);
  });
}

test('something that is no fault at all is refused', (t) => {
  for (const input of [null, 7, {}, [], { kind: 'error', op: [] }, { kind: 'error', op: 7 }]) {
    t.throws(() => parseFault(input, 'here'), { instanceOf: PinfoldError }, JSON.stringify(input));
  }
});

test('a range past the end of the disk is refused', (t) => {
  const spec = parse('error,range=0-1M,range=2M-');
  t.notThrows(() => checkFaultFits(spec, 'disk d', 2 ** 21 + 1));
  t.throws(() => checkFaultFits(spec, 'disk d', 2 ** 21), {
    message: 'EINVAL: the range 2M- lies past the end of disk d, which has 2097152 bytes',
  });
});
