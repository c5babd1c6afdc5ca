import { describe, expect, it } from 'vitest';
import { instanceIdOf, machineName } from '../../src/identity.ts';
import { fixtureHost, temporaryFolder, writeTree } from '../support/fixture-host.ts';

const MACHINE_ID = '0123456789abcdef0123456789abcdef';

function nameOf(files: Readonly<Record<string, string>>): string | undefined {
  const root = temporaryFolder();
  writeTree(root, files);
  return machineName(fixtureHost(root));
}

describe('instanceIdOf', () => {
  it.each([
    ['i-0123456789abcdef0', '892fbf2d-88e6-555d-8f1e-801dc89fb368'],
    ['', '778f72e5-f77c-594e-9915-b8a66fe1b88d'],
    ['ünïcödé\u0000x', '496eb973-c466-55c9-8549-f05f082aefc9'],
  ])('makes of %j the UUID that uuid5 of Python makes with the namespace of the conventions', (name, uuid) => {
    expect(instanceIdOf(name)).toBe(uuid);
  });
});

describe('machineName', () => {
  it.each([
    ['the machine-id', { 'fs/etc/machine-id': `${MACHINE_ID}\n`, 'fs/etc/hostname': 'name' }, MACHINE_ID],
    [
      'the machine-id of D-Bus where the other one is empty',
      { 'fs/etc/machine-id': '', 'fs/var/lib/dbus/machine-id': MACHINE_ID },
      MACHINE_ID,
    ],
    [
      'the host name where the machine-id is not set yet',
      { 'fs/etc/machine-id': 'uninitialized\n', 'fs/etc/hostname': 'a-host\n' },
      'a-host',
    ],
    ['the name in the kernel where no file has one', { 'proc/sys/kernel/hostname': 'kernel-name\n' }, 'kernel-name'],
    ['no name that every machine has', { 'fs/etc/hostname': 'localhost.localdomain\n' }, undefined],
    ['nothing where there is nothing', {}, undefined],
  ])('returns %s', (_name, files: Readonly<Record<string, string>>, expected) => {
    expect(nameOf(files)).toBe(expected);
  });
});
