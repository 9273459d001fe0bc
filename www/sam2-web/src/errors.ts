/**
 * What went wrong, for code to branch on. The message of the error says what to do about it.
 *
 * - `WEIGHTS_*`: the model file is damaged, carries code, is of an unknown kind, or does not fit the configuration.
 * - `INVALID_IMAGE`, `IMAGE_TOO_LARGE`, `UNSUPPORTED_INPUT`: the picture. `INVALID_PROMPT`: the prompt.
 * - `INVALID_LABELS`: a file of labels that is not of its format, or damaged.
 * - `INVALID_MASK`: bits, run lengths or polygons that make no mask, or masks of two sizes.
 * - `DEVICE_UNAVAILABLE`, `DEVICE_LOST`, `OUT_OF_MEMORY`, `INTERNAL`: the device or the engine. When it cannot go on,
 *   {@link Sam2.lost} tells so, and {@link Sam2.reload} begins anew.
 * - `VIDEO_UNSUPPORTED`, `VIDEO_CORRUPT`, `NO_VIDEO_TRACK`, `VIDEO_SOURCE_FAILED`: what a video's frames come from.
 * - `FRAME_OUT_OF_RANGE`, `FRAME_GONE`, `FRAME_SIZE_CHANGED`: one frame of it.
 * - `UNSUPPORTED_ENVIRONMENT`: where the program runs lacks something, such as a page that no server has sent.
 * - `NETWORK`: a file could not be fetched. `QUOTA_EXCEEDED`: there is no room to keep it in this browser.
 * - `ABORTED`: your `AbortSignal` fired. `DISPOSED`: the object was used after `dispose()`.
 */
export type Sam2ErrorCode =
  | "WEIGHTS_CORRUPT"
  | "WEIGHTS_UNSAFE"
  | "WEIGHTS_UNSUPPORTED"
  | "WEIGHTS_MISMATCH"
  | "INVALID_IMAGE"
  | "IMAGE_TOO_LARGE"
  | "UNSUPPORTED_INPUT"
  | "INVALID_PROMPT"
  | "INVALID_MASK"
  | "INVALID_LABELS"
  | "VIDEO_UNSUPPORTED"
  | "VIDEO_CORRUPT"
  | "NO_VIDEO_TRACK"
  | "VIDEO_SOURCE_FAILED"
  | "FRAME_OUT_OF_RANGE"
  | "FRAME_GONE"
  | "FRAME_SIZE_CHANGED"
  | "DEVICE_UNAVAILABLE"
  | "DEVICE_LOST"
  | "OUT_OF_MEMORY"
  | "UNSUPPORTED_ENVIRONMENT"
  | "NETWORK"
  | "QUOTA_EXCEEDED"
  | "ABORTED"
  | "DISPOSED"
  | "INTERNAL";

/** Every error this package throws. `name` is `"AbortError"` for `ABORTED`, as the platform's own, else `"Sam2Error"`. */
export class Sam2Error extends Error {
  readonly code: Sam2ErrorCode;

  constructor(code: Sam2ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = code === "ABORTED" ? "AbortError" : "Sam2Error";
  }
}

/** An error as it crosses from the worker: structured clone would drop the class and the code. */
export interface PlainError {
  code: Sam2ErrorCode;
  message: string;
  cause?: string;
}

export function toPlain(error: Sam2Error): PlainError {
  const { code, message, cause } = error;
  return cause === undefined ? { code, message } : { code, message, cause: String(cause) };
}

export function fromPlain({ code, message, cause }: PlainError): Sam2Error {
  return new Sam2Error(code, message, cause === undefined ? undefined : { cause });
}

/** The engine's errors are plain `Error`s with a `code`; anything else thrown is a fault of ours or of the browser's. */
export function toSam2Error(thrown: unknown): Sam2Error {
  if (thrown instanceof Sam2Error) return thrown;
  if (thrown instanceof Error) {
    const code = (thrown as { code?: unknown }).code;
    if (typeof code === "string")
      return new Sam2Error(code as Sam2ErrorCode, thrown.message, { cause: thrown });
    if (thrown.name === "NotReadableError" || thrown.name === "NotFoundError") {
      const message = `The file could not be read (${thrown.message}). Was it moved or changed, or is it a folder? Choose it again.`;
      return new Sam2Error("UNSUPPORTED_INPUT", message, { cause: thrown });
    }
    if (isOutOfMemory(thrown)) {
      const message = "The browser ran out of memory. Use a smaller picture or model, or close other tabs.";
      return new Sam2Error("OUT_OF_MEMORY", message, { cause: thrown });
    }
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Sam2Error("INTERNAL", `Unexpected error: ${message}`, { cause: thrown });
}

export function isOutOfMemory(error: Error): boolean {
  return /out of memory|allocat|memory.*grow|array length|maximum memory/i.test(error.message);
}

/** After a trap the wasm instance's memory cannot be trusted, so this one ends the engine. */
export function isTrap(thrown: unknown): thrown is WebAssembly.RuntimeError {
  return thrown instanceof WebAssembly.RuntimeError;
}
