/** The bit depth of a PNG stands in its header's 25th byte. */
const HEADER_BYTES = 25;

/** Of a file that browsers do not decode, or maybe only to the upper 8 of 16 bits: its kind. */
export async function isDeep(blob: Blob): Promise<"tiff" | "png" | undefined> {
  const head = new Uint8Array(await blob.slice(0, HEADER_BYTES).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (/^(II[*+]\0|MM\0[*+])/.test(text)) return "tiff";
  return text.startsWith("\x89PNG\r\n\x1a\n") && head[24] === 16 ? "png" : undefined;
}
