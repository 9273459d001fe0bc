/** Codecs whose packets may hold a picture that is only ever predicted from ("alternate reference"). */
export function mayHidePackets(codec: string | null): codec is "vp8" | "vp9" {
  return codec === "vp8" || codec === "vp9";
}

/** Whether a packet gives no picture to show. It still goes to the decoder, unless it is empty. */
export function isHidden(codec: "vp8" | "vp9", packet: Uint8Array): boolean {
  if (packet.length === 0) return true;
  return codec === "vp8" ? !showsVp8(packet) : !vp9Frames(packet).some(showsVp9);
}

/** RFC 6386, 9.1: bit 4 of the frame tag is show_frame. */
function showsVp8([tag = 0]: Uint8Array): boolean {
  return ((tag >> 4) & 1) === 1;
}

/** The VP9 bitstream specification, annex B: the frames of a superframe; a packet without an index is one frame. */
function vp9Frames(packet: Uint8Array): Uint8Array[] {
  const marker = packet.at(-1) ?? 0;
  const [bytes, count] = [((marker >> 3) & 3) + 1, (marker & 7) + 1];
  const index = packet.length - 2 - bytes * count;
  if (marker >> 5 !== 0b110 || index < 0 || packet[index] !== marker) return [packet];
  const frames: Uint8Array[] = [];
  for (let i = 0, start = 0; i < count; i++) {
    let size = 0;
    for (let byte = bytes - 1; byte >= 0; byte--)
      size = size * 256 + (packet[index + 1 + i * bytes + byte] ?? 0);
    frames.push(packet.subarray(start, start + size));
    start += size;
  }
  return frames;
}

/** The same, 6.2: frame_marker, profile (a reserved bit more for profile 3), show_existing_frame, frame_type, show_frame. */
function showsVp9([first = 0]: Uint8Array): boolean {
  const bit = (at: number) => (first >> (7 - at)) & 1;
  const at = bit(2) && bit(3) ? 5 : 4;
  return bit(at) === 1 || bit(at + 2) === 1;
}
