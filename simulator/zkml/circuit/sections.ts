/** Little-endian integers of snarkjs's binary files. */
export function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function uint64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** snarkjs's container: four letters, a version, the number of sections; each has an id, its length and its bytes. */
export function sectionFile(
  type: "wtns" | "r1cs" | "zkey",
  version: number,
  sections: readonly (readonly [id: number, ...parts: Uint8Array[]])[],
): Uint8Array {
  const header = [Buffer.from(type, "ascii"), uint32(version), uint32(sections.length)];
  const body = sections.flatMap(([id, ...parts]) => {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    return [uint32(id), uint64(length), ...parts];
  });
  return new Uint8Array(Buffer.concat([...header, ...body]));
}
