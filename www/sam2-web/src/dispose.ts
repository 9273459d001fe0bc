/// <reference lib="esnext.disposable" preserve="true" />

/** `Symbol.dispose` for `using`, or what compilers take in its place where a browser does not have it yet. */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");
