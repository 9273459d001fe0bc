// The sound of an exported clip. Fetched when something is exported.
import {
  type AudioSample,
  AudioSampleSink,
  AudioSampleSource,
  BlobSource,
  EncodedAudioPacketSource,
  EncodedPacketSink,
  getFirstEncodableAudioCodec,
  Input,
  type InputAudioTrack,
  MATROSKA,
  MP4,
  type Output,
  QTFF,
  QUALITY_HIGH,
  WEBM,
} from "./muxer.js";

/** The sound that is wanted: a file's from `start` to `end`, in seconds. */
export interface SoundStretch {
  file: Blob;
  start: number;
  end: number;
}

/** A track of a file in the making. */
export interface SoundTrack {
  /** Once the output has been started: writes all of it, from 0 on. */
  write(signal: AbortSignal): Promise<void>;
  close(): void;
}

type Write = SoundTrack["write"];

/**
 * Adds a file's sound to an output: as it is where the container knows its codec, else encoded anew.
 *
 * @returns undefined if the file has none, `"lost"` if it has, but this browser cannot bring it into the container.
 */
export async function addSound(
  output: Output,
  stretch: SoundStretch,
): Promise<SoundTrack | "lost" | undefined> {
  const input = new Input({ source: new BlobSource(stretch.file), formats: [MP4, QTFF, WEBM, MATROSKA] });
  let write: Write | undefined;
  try {
    const track = await input.getPrimaryAudioTrack();
    if (!track) return undefined;
    write = (await copied(track, output, stretch)) ?? (await encoded(track, output, stretch));
    return write ? { write, close: () => input.dispose() } : "lost";
  } finally {
    if (!write) input.dispose();
  }
}

async function copied(
  track: InputAudioTrack,
  output: Output,
  { start, end }: SoundStretch,
): Promise<Write | undefined> {
  const [codec, decoderConfig] = [await track.getCodec(), await track.getDecoderConfig()];
  if (!codec || !decoderConfig || !output.format.getSupportedAudioCodecs().includes(codec)) return undefined;
  // Its packets may be seconds long, and few players expect it in an MP4.
  if (codec.startsWith("pcm-")) return undefined;
  const source = new EncodedAudioPacketSource(codec);
  output.addAudioTrack(source);
  return async (signal) => {
    const sink = new EncodedPacketSink(track);
    for await (const packet of sink.packets((await sink.getPacket(start)) ?? undefined)) {
      signal.throwIfAborted();
      if (packet.timestamp >= end) break;
      // What begins before the stretch, by some hundredths of a second, would lie before the file's beginning.
      if (packet.timestamp < start) continue;
      await source.add(packet.clone({ timestamp: packet.timestamp - start }), { decoderConfig });
    }
    source.close();
  };
}

async function encoded(
  track: InputAudioTrack,
  output: Output,
  { start, end }: SoundStretch,
): Promise<Write | undefined> {
  const [numberOfChannels, sampleRate] = [await track.getNumberOfChannels(), await track.getSampleRate()];
  const codec = await getFirstEncodableAudioCodec(output.format.getSupportedAudioCodecs(), {
    numberOfChannels,
    sampleRate,
    quality: QUALITY_HIGH,
  });
  if (!codec || !(await track.canDecode())) return undefined;
  const source = new AudioSampleSource({ codec, quality: QUALITY_HIGH });
  output.addAudioTrack(source);
  return async (signal) => {
    for await (const sample of new AudioSampleSink(track).samples(start, end)) {
      try {
        const { timestamp, numberOfFrames } = sample;
        const at = (time: number) => Math.round((time - timestamp) * sampleRate);
        const [from, to] = [Math.max(0, at(start)), Math.min(numberOfFrames, at(end))];
        if (from < to) await addPart(source, sample.trim(from, to), start);
        signal.throwIfAborted();
      } finally {
        sample.close();
      }
    }
    source.close();
  };
}

async function addPart(source: AudioSampleSource, part: AudioSample, start: number): Promise<void> {
  try {
    part.setTimestamp(Math.max(0, part.timestamp - start));
    await source.add(part);
  } finally {
    part.close();
  }
}
