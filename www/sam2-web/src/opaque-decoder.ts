import {
  CustomVideoDecoder,
  type EncodedPacket,
  registerDecoder,
  type VideoCodec,
  VideoSample,
} from "mediabunny";

/** Chunks that wait in the decoder at most. */
const WAITING = 8;

/** Codecs of which a WebM's transparent frames are made. */
const CODECS: readonly VideoCodec[] = ["vp8", "vp9", "av1"];

/**
 * Leaves transparency away. The demuxer would merge it in a worker from a `blob:` URL, which a strict policy forbids,
 * and the network sees colours only.
 */
class OpaqueDecoder extends CustomVideoDecoder {
  #decoder: VideoDecoder | undefined;

  static override supports(codec: VideoCodec): boolean {
    return CODECS.includes(codec);
  }

  init(): void {
    this.#decoder = new VideoDecoder({
      output: (frame) => this.onSample(new VideoSample(frame)),
      error: (error) => this.onError(error),
    });
    this.#decoder.configure(this.config);
  }

  async decode(packet: EncodedPacket): Promise<void> {
    const decoder = this.#decoder;
    if (!decoder) return;
    // A chunk has no side data.
    decoder.decode(packet.toEncodedVideoChunk());
    while (decoder.state === "configured" && decoder.decodeQueueSize > WAITING) {
      await new Promise((resolve) => decoder.addEventListener("dequeue", resolve, { once: true }));
    }
  }

  async flush(): Promise<void> {
    await this.#decoder?.flush();
  }

  close(): void {
    if (this.#decoder?.state !== "closed") this.#decoder?.close();
  }
}

let registered = false;

/** From now on the files of this worker, or page, are decoded without their transparency. */
export function decodeOpaque(): void {
  if (!registered) registerDecoder(OpaqueDecoder);
  registered = true;
}
