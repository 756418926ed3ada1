// A thread of the multi-threaded mm tests: one role of mm-threads.ts.

import { workerData } from 'node:worker_threads';
import { Machine } from '../../engine/machine.js';
import { handedOver } from '../../engine/memory/layout.js';
import { joinDoorbells } from '../../engine/sched/wait.js';
import { type RoleData, runRole } from './mm-threads.js';

const data = handedOver<RoleData>(workerData);
joinDoorbells(data.bells);
runRole(new Machine(data.machine), data);
