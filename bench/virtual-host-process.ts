/**
 * A virtual host in a process of its own, so that what it costs is not the agent's: `virtual-host-process.ts TYPE DIRECTORY PERIOD_MS`.
 * Tells its parent where its roots are, keeps its files up to date, and ends with its parent.
 */
import { isVirtualInstanceType } from '../simulator/instances.ts';
import { createVirtualHost } from '../simulator/virtual-host.ts';
import { systemClock } from '../src/host.ts';

const WARM_UP_MS = 120_000;

const [instanceType = '', directory = '', periodMs = ''] = process.argv.slice(2);
if (!isVirtualInstanceType(instanceType)) throw new RangeError(`no simulated ${instanceType}`);
const virtual = await createVirtualHost({ instanceType, seed: 7, directory, clock: systemClock, warmUpMs: WARM_UP_MS, imds: true });
virtual.run(Number(periodMs));
process.on('disconnect', () => void virtual[Symbol.asyncDispose]());
const { procRoot, sysRoot, devRoot, fsRoot } = virtual.host;
process.send?.({ procRoot, sysRoot, devRoot, fsRoot, imdsEndpoint: virtual.imdsEndpoint ?? '' });
