/**
 * A process that writes reports to its stdout through the exporter under test. On stderr it tells when it has offered all of them,
 * and then what became of them.
 * Arguments: number of reports (0: until stdout is closed), bytes of one report, bound on pending bytes, milliseconds for the flush,
 * milliseconds between reports.
 */
import { JsonStdoutExporter } from '../../exporters/json-stdout/exporter.ts';
import { systemClock } from '../../src/host.ts';
import { silentLogger } from '../../src/log.ts';

const [count = 0, lineBytes = 100, maxPendingBytes = 1024, flushMs = 1000, betweenMs = 0] = process.argv.slice(2).map(Number);
const told = { written: 0, full: 0, closed: 0, unencodable: 0, mostPendingBytes: 0, end: 'open' };
const exporter = new JsonStdoutExporter({
  output: process.stdout,
  clock: systemClock,
  logger: silentLogger,
  maxPendingBytes,
  onWritten: () => {
    told.written += 1;
  },
  onDropped: (reason) => {
    told[reason] += 1;
  },
});
// Without a number of reports the writer stops at the end of stdout, as the agent does when stdout is its only exporter.
void exporter.closed.then(({ end }) => {
  told.end = end;
  return undefined;
});

for (let index = 0; count === 0 ? told.end === 'open' : index < count; index += 1) {
  exporter.export({ document: { index, filling: 'x'.repeat(lineBytes) } });
  told.mostPendingBytes = Math.max(told.mostPendingBytes, exporter.pendingBytes);
  await new Promise((resolve) => setTimeout(resolve, betweenMs));
}
process.stderr.write('offered\n');
await exporter.flush(flushMs);
await exporter[Symbol.asyncDispose]();
process.stderr.write(JSON.stringify(told));
process.exit(0);
