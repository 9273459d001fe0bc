/** Of the longest header that is read; other kinds of files seem to claim far more. */
const MAX_HEADER = 16 << 20;

/** What stands in a safetensors file's header, by the tensors' names; beside them `__metadata__`. */
export type Header = Record<string, { data_offsets?: [begin: number, end: number] }>;

/** Where a safetensors file's header ends, if its length is known yet. */
export function headerEnd(bytes: Uint8Array): number | undefined {
  if (bytes.length < 8) return undefined;
  const end = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return end <= MAX_HEADER ? end : undefined;
}

/** From the bytes up to where the header ends; undefined if it is none. */
export function readHeader(bytes: Uint8Array): Header | undefined {
  try {
    const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(8)));
    return typeof header === "object" && header !== null ? (header as Header) : undefined;
  } catch {
    return undefined;
  }
}

/** How many bytes of tensors belong to it. */
export function dataLength(header: Header): number {
  const ends = Object.values(header).map((tensor) => tensor?.data_offsets?.[1] ?? 0);
  return ends.reduce((a, b) => Math.max(a, b), 0);
}
