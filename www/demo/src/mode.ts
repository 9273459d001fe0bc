import type { StageEvents } from "./stage.js";

/** What the page works on: a picture or a clip. The page itself keeps the model, the stage and the tools. */
export interface Mode extends StageEvents {
  /** Takes the last click or box back. */
  undo(): void;
  /** Takes all of them back. */
  clear(): void;
  /** Whether the key meant something. */
  key(event: KeyboardEvent): boolean;
  /** The model was lost, and has been loaded again: asks it once more for what it did not answer. */
  recovered(): Promise<void>;
  /** Leaves the stage and frees everything. */
  close(): void;
  /** For tests. */
  readonly state: Record<string, unknown>;
}
