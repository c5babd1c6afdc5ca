import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { hostLogicalCoreConfig, parseCgroup, parseEnvironment } from '../../../sources/processes/identity.ts';
import { fixtureHost, temporaryFolder, writeTree } from '../../support/fixture-host.ts';

const ID = 'ab12'.repeat(16);
const OUTER = 'cd34'.repeat(16);
const UID = '0b3c1f6e-7a52-4d0f-9c8e-1234567890ab';
const UID_ = UID.replaceAll('-', '_');

describe('/proc/<pid>/cgroup', () => {
  test.each([
    ['not in a container', '0::/user.slice/user-1000.slice/session-3.scope', {}],
    ['a service', '0::/system.slice/docker.service', {}],
    ['docker, v1', `12:memory:/docker/${ID}`, { containerId: ID }],
    ['docker, v2 with systemd', `0::/system.slice/docker-${ID}.scope`, { containerId: ID }],
    ['podman', `0::/machine.slice/libpod-${ID}.scope/container`, { containerId: ID }],
    ['podman’s monitor', `0::/machine.slice/libpod-conmon-${ID}.scope`, {}],
    ['ECS on EC2', `9:cpu:/ecs/cluster/0123456789abcdef0123456789abcdef/${ID}`, { containerId: ID }],
    [
      'ECS on Fargate',
      '9:cpu:/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-3134567890',
      { containerId: '0123456789abcdef0123456789abcdef-3134567890' },
    ],
    ['kubelet with cgroupfs, v1', `11:cpu,cpuacct:/kubepods/burstable/pod${UID}/${ID}`, { containerId: ID, podUid: UID }],
    [
      'containerd with systemd, v2',
      `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID_}.slice/cri-containerd-${ID}.scope`,
      { containerId: ID, podUid: UID },
    ],
    ['guaranteed pod', `0::/kubepods.slice/kubepods-pod${UID_}.slice/cri-containerd-${ID}.scope`, { containerId: ID, podUid: UID }],
    [
      'CRI-O',
      `0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID_}.slice/crio-${ID}.scope/container`,
      { containerId: ID, podUid: UID },
    ],
    ['CRI-O’s monitor', `0::/kubepods.slice/kubepods-pod${UID_}.slice/crio-conmon-${ID}.scope`, { podUid: UID }],
    [
      'containerd with systemd, v1',
      `4:devices:/system.slice/containerd.service/kubepods-burstable-pod${UID_}.slice:cri-containerd:${ID}`,
      { containerId: ID, podUid: UID },
    ],
    [
      'a static pod',
      `0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/${ID}`,
      { containerId: ID, podUid: '0123456789abcdef0123456789abcdef' },
    ],
    ['a container in a container: the inner one', `0::/docker/${OUTER}/kubelet/kubepods/pod${UID}/${ID}`, { containerId: ID, podUid: UID }],
    [
      'seen from another control group namespace',
      `0::/../../kubepods-burstable-pod${UID_}.slice/cri-containerd-${ID}.scope`,
      { containerId: ID, podUid: UID },
    ],
    ['seen from the same pod: the pod is hidden', `0::/../cri-containerd-${ID}.scope`, { containerId: ID }],
    ['only one of several hierarchies tells', `9:name=systemd:/\n4:memory:/docker/${ID}\n0::/`, { containerId: ID }],
    ['an id that is too short', `0::/docker/${ID.slice(1)}`, {}],
    ['a uid with mixed separators', `0::/kubepods/pod${UID.replace('-', '_')}/${ID}`, { containerId: ID }],
    ['garbage', `::\n0:\n\0/${ID}`, {}],
    ['empty', '', {}],
  ])('%s', (_name, text, expected) => {
    expect(parseCgroup(text)).toStrictEqual(expected);
  });
});

describe('/proc/<pid>/environ', () => {
  test.each([
    ['nothing of ours', 'PATH=/bin\0HOME=/\0', {}],
    ['empty', '', {}],
    ['a tag', 'A=1\0NEURON_PROCESS_TAG=train 1=2\0', { tag: 'train 1=2' }],
    ['an empty tag is none', 'NEURON_PROCESS_TAG=\0', {}],
    ['a name that only ends like ours', 'XNEURON_PROCESS_TAG=x\0', {}],
    ['set twice: the last one', 'NEURON_PROCESS_TAG=a\0NEURON_PROCESS_TAG=b\0', { tag: 'b' }],
    ['cut off within the tag', 'A=1\0NEURON_PROCESS_TAG=tr', {}],
    ['LNC', 'NEURON_LOGICAL_NC_CONFIG=1\0', { logicalCoreConfig: 1 }],
    ['LNC in its older spelling', 'NEURON_RT_VIRTUAL_CORE_SIZE=2\0', { logicalCoreConfig: 2 }],
    ['both spellings', 'NEURON_RT_VIRTUAL_CORE_SIZE=2\0NEURON_LOGICAL_NC_CONFIG=1\0', { logicalCoreConfig: 1 }],
    ['LNC that is none', 'NEURON_LOGICAL_NC_CONFIG=3\0', {}],
    ['255 bytes', `NEURON_PROCESS_TAG=${'x'.repeat(300)}\0`, { tag: 'x'.repeat(255) }],
    ['255 bytes, not characters', `NEURON_PROCESS_TAG=${'é'.repeat(200)}\0`, { tag: 'é'.repeat(127) }],
  ])('%s', (_name, text, expected) => {
    expect(parseEnvironment(text)).toStrictEqual(expected);
  });

  test('a tag is never longer than 255 bytes', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400, unit: 'grapheme' }), (tag) => {
        const parsed = parseEnvironment(`NEURON_PROCESS_TAG=${tag.replaceAll('\0', '')}\0`).tag;
        expect(Buffer.byteLength(parsed ?? '')).toBeLessThanOrEqual(255);
      }),
    );
  });
});

describe('logical core configuration of the host', () => {
  test.each([
    ['no file', undefined, undefined],
    ['1', 'NEURON_LOGICAL_NC_CONFIG=1\n', 1],
    ['2 after a comment, quoted', '# set by the image\nNEURON_LOGICAL_NC_CONFIG="2"\n', 2],
    ['as a shell would export it', 'export NEURON_LOGICAL_NC_CONFIG=1', 1],
    ['commented out', '#NEURON_LOGICAL_NC_CONFIG=1\n', undefined],
    ['nonsense', 'NEURON_LOGICAL_NC_CONFIG=8\n', undefined],
    ['empty', '', undefined],
  ])('%s', (_name, content, expected) => {
    const root = temporaryFolder();
    if (content !== undefined) writeTree(root, { 'fs/opt/aws/neuron/logical_nc_config': content });
    expect(hostLogicalCoreConfig(fixtureHost(root))).toBe(expected);
  });
});
