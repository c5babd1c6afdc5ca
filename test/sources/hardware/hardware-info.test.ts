import { describe, expect, test } from 'vitest';
import { DEVICE_MODELS, deviceModel, neuronHardwareInfo } from '../../../sources/hardware/hardware-info.ts';

describe('neuron_hardware_info', () => {
  // Values that neuron-monitor printed on trn1.2xlarge and inf2.xlarge, and that its user guide shows for trn2.48xlarge.
  test.each([
    [
      'trn1.32xlarge',
      { deviceCount: 16, deviceName: 'Trainium1', deviceArchitecture: 'NDv2', coreArchitecture: 'NCv2', physicalCores: 2 },
      ['trainium', 'v2', 'v2', 16, 34_359_738_368, 2, 1],
    ],
    [
      'inf2.48xlarge',
      { deviceCount: 12, deviceName: 'Inferentia2', deviceArchitecture: 'NDv3', coreArchitecture: 'NCv2', physicalCores: 2 },
      ['inferentia2', 'v3', 'v2', 12, 34_359_738_368, 2, 1],
    ],
    [
      'trn2.48xlarge at LNC 2, the default',
      { deviceCount: 16, deviceName: 'Trainium2', deviceArchitecture: 'NDv3', coreArchitecture: 'NCv3', physicalCores: 8 },
      ['trainium2', 'v4', 'v3d', 16, 103_079_215_104, 4, 2],
    ],
    [
      'trn2.48xlarge at LNC 1',
      { deviceCount: 16, deviceName: 'Trainium2', physicalCores: 8, logicalCoreConfig: 1 },
      ['trainium2', 'v4', 'v3', 16, 103_079_215_104, 8, 1],
    ],
    [
      'trn3, whose device version nobody has seen',
      { deviceCount: 4, deviceName: 'Trainium3', physicalCores: 8 },
      ['trainium3', undefined, 'v4d', 4, 154_618_822_656, 4, 2],
    ],
    [
      'inf1 with a driver before 2.8: no device name, no core count',
      { deviceCount: 4, deviceArchitecture: 'NDv1', coreArchitecture: 'NCv1' },
      ['inferentia', 'v1', 'v1', 4, 8_589_934_592, 4, 1],
    ],
    [
      'a device of the future',
      { deviceCount: 2, deviceName: 'Trainium9', deviceArchitecture: 'NDv3', coreArchitecture: 'NCv3', physicalCores: 16 },
      [undefined, undefined, undefined, 2, undefined, 16, undefined],
    ],
    ['a device of which nothing is known', { deviceCount: 1 }, [undefined, undefined, undefined, 1, undefined, undefined, undefined]],
  ])('%s', (_name, facts, [type, deviceVersion, coreVersion, devices, memory, cores, lnc]) => {
    const known = {
      neuron_device_type: type,
      neuron_device_version: deviceVersion,
      neuroncore_version: coreVersion,
      neuron_device_count: devices,
      neuron_device_memory_size: memory,
      neuroncore_per_device_count: cores,
      logical_neuroncore_config: lnc,
    };
    expect(neuronHardwareInfo(facts)).toStrictEqual(Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)));
  });

  test('none without devices', () => {
    expect(neuronHardwareInfo({ deviceCount: 0, deviceName: 'Trainium1' })).toBeUndefined();
  });
});

describe('the table', () => {
  test('name, and both architectures together, identify a row', () => {
    for (const model of DEVICE_MODELS) {
      const { deviceName, deviceArchitecture, coreArchitecture } = model;
      expect(deviceModel({ deviceName })).toBe(model);
      expect(deviceModel({ deviceArchitecture, coreArchitecture })).toBe(model);
    }
  });

  test('one architecture alone does not', () => {
    expect(deviceModel({ deviceArchitecture: 'NDv3' })).toBeUndefined();
  });
});
