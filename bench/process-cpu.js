import { readdirSync, readFileSync } from 'node:fs';

/** Unit of utime and stime in /proc/PID/stat on Linux. */
const tickMicroseconds = 10_000;

/**
 * @param {number} pid
 * @returns {number} µs of processor time, user and system, that all threads of the process have used so far
 */
export function processCpu(pid) {
  try {
    let nanoseconds = 0;
    // Threads that have ended are missing here; servers keep theirs while they are measured.
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    }
    return nanoseconds / 1000;
  } catch {
    // A kernel without schedstat: coarser, still all threads. Fields 14 and 15; the name before them may hold spaces.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * tickMicroseconds;
  }
}
