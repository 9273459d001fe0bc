/** What a file is by its first bytes, whatever it is called; by its type or its ending where they say nothing. */
export async function kindOf(file: File): Promise<"picture" | "clip" | "model" | "labels"> {
  const head = new Uint8Array(await file.slice(0, 64).arrayBuffer());
  const text = String.fromCharCode(...head);
  // Checkpoints: a ZIP, a bare pickle, safetensors (a length, then JSON), and what Git LFS leaves in a file's place.
  if (text.startsWith("PK\x03\x04") || (head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5))
    return "model";
  if (text.startsWith("version https://git-lfs")) return "model";
  if (file.name.endsWith(".index.json")) return "model"; // of one in several files
  if (head.length > 9 && text[8] === "{" && headerLength(head) < file.size) return "model";
  // Pictures are in the same container as MP4s, under brands of their own.
  if (text.startsWith("ftyp", 4))
    return /^(avi[fs]|mif1|msf1|hei[cxms]|hevc|hevx)/.test(text.slice(8, 12)) ? "picture" : "clip";
  if (text.startsWith("\x1aE\xdf\xa3")) return "clip";
  if (/^(moov|mdat|wide|free|skip)/.test(text.slice(4, 8))) return "clip"; // old QuickTime
  if (isPicture(text)) return "picture";
  // JSON: an object, or a list of objects, after the mark that some editors begin with.
  if (/\.(geo)?json$/i.test(file.name) || /^(\xef\xbb\xbf)?\s*(\{\s*["}]|\[\s*[{\]])/.test(text))
    return "labels";
  if (/\.(pt|pth|bin|ckpt|torch|safetensors)$/i.test(file.name)) return "model";
  if (file.type.startsWith("video/") || (!file.type && /\.(mp4|m4v|mov|webm|mkv)$/i.test(file.name)))
    return "clip";
  return "picture";
}

function headerLength(head: Uint8Array): number {
  return Number(new DataView(head.buffer).getBigUint64(0, true));
}

function isPicture(text: string): boolean {
  return /^(\x89PNG|\xff\xd8\xff|GIF8|RIFF[\s\S]{4}WEBP|BM|II[*+]\0|MM\0[*+])/.test(text);
}
