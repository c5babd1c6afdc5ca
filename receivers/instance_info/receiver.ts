import type { Receiver, Recorder } from '../../src/receiver.ts';
import type { GroupReading, InstanceInfo } from '../../src/readings.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'instance_info'> = { group: 'instance_info', metrics, receive };

function receive(reading: GroupReading<'instance_info'>, recorder: Recorder): void {
  const info = reading.data;
  // The script has it also where nothing is known: one row for each host is counted by dashboards.
  recorder.set(metrics.legacyInfo, 1, {});
  if (Object.keys(info).length > 0) recorder.resource(resourceOf(info));
}

/** neuron-monitor writes an empty string for a value that the instance metadata lacks. */
function resourceOf(info: InstanceInfo): Readonly<Record<string, string | undefined>> {
  const isInstance = known(info.instance_id) !== undefined || known(info.instance_type) !== undefined;
  return {
    'cloud.provider': isInstance ? 'aws' : undefined,
    'cloud.platform': isInstance ? 'aws_ec2' : undefined,
    'cloud.region': known(info.instance_region),
    'cloud.availability_zone': known(info.instance_availability_zone),
    'host.id': known(info.instance_id),
    'host.type': known(info.instance_type),
    'host.image.id': known(info.ami_id),
    'ec2.tag.Name': known(info.instance_name),
    'neuron.instance.availability_zone_id': known(info.instance_availability_zone_id),
    'neuron.instance.subnet_id': known(info.subnet_id),
    'neuron.instance.ultraserver_id': known(info.ultraserver_id),
  };
}

function known(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}
