import type { Random } from './random.ts';
import type { IdentityTruth } from './truth.ts';

/** Who the virtual instance is to its metadata service. */
export function identityOf(random: Random): IdentityTruth {
  return {
    instanceId: `i-${random.hex(17)}`,
    region: 'us-west-2',
    availabilityZone: 'us-west-2d',
    availabilityZoneId: 'usw2-az4',
    amiId: `ami-${random.hex(17)}`,
    subnetId: `subnet-${random.hex(17)}`,
    accountId: '000000000000',
    name: 'virtual-trainium',
  };
}
