// What the paths need of a browser, whatever drives it.

/** A browser that runs. */
export interface Driven {
  /** As the browser names it. */
  version: string;
  /** Opens a tab, one at a time. */
  open(): Promise<Tab>;
  close(): Promise<void>;
}

/** A tab of about {@link SIZE}. */
export interface Tab {
  goto(url: string): Promise<void>;
  /** Runs a function on the page: it sees nothing but the page and what it is given, and answers plain data. */
  evaluate<R, A = undefined>(work: (given: A) => R | Promise<R>, given?: A): Promise<R>;
  /** Clicks at a point of the page, with the mouse. */
  click(x: number, y: number): Promise<void>;
  /** Keeps what is seen as a PNG file. */
  screenshot(path: string): Promise<void>;
  close(): Promise<void>;
}

export const SIZE = { width: 1280, height: 860 };

/** The longest that one call on the page may take. */
export const PATIENCE_MS = 120_000;
