/** A decoded message: field number → values, nested messages as bytes. */
export type Fields = ReadonlyMap<number, readonly (number | Buffer)[]>;

/** Reads any protobuf message; varints come as numbers, fixed64 as doubles. */
export function readFields(bytes: Buffer): Fields {
  const fields = new Map<number, (number | Buffer)[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('message ends within a number');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const values = fields.get(tag >>> 3) ?? [];
    fields.set(tag >>> 3, values);
    if ((tag & 7) === 0) values.push(varint());
    else if ((tag & 7) === 1) values.push(bytes.readDoubleLE((at += 8) - 8));
    else if ((tag & 7) === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new Error('message ends within a field');
      values.push(bytes.subarray(at, (at += length)));
    } else throw new Error(`wire type ${tag & 7}`);
  }
  return fields;
}

/** Messages with their lengths in front. */
export function readDelimited(bytes: Buffer): readonly Fields[] {
  const messages: Fields[] = [];
  let at = 0;
  while (at < bytes.length) {
    let length = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++] ?? 0;
      length += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
    }
    messages.push(readFields(bytes.subarray(at, (at += length))));
  }
  return messages;
}

export function numberAt(fields: Fields, field: number): number | undefined {
  const value = fields.get(field)?.[0];
  return typeof value === 'number' ? value : undefined;
}

export function textAt(fields: Fields, field: number): string | undefined {
  const value = fields.get(field)?.[0];
  return Buffer.isBuffer(value) ? value.toString() : undefined;
}

export function messagesAt(fields: Fields, field: number): readonly Fields[] {
  return (fields.get(field) ?? []).map((value) => readFields(Buffer.isBuffer(value) ? value : Buffer.alloc(0)));
}

export function zigzag(value: number): number {
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}
