/** The buffer itself, or a larger one that begins with its first `length` bytes, with room for `size` more. */
export function withRoom(bytes: Buffer, length: number, size: number, growth = 2): Buffer {
  const needed = length + size;
  if (needed <= bytes.length) return bytes;
  const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.ceil(bytes.length * growth)));
  bytes.copy(grown, 0, 0, length);
  return grown;
}
