import { type Sam2, Sam2Error } from "sam2-web";

/** The error of a call may arrive a moment before the loss that is its cause. */
const LATER_MS = 300;

/** Whether an error is because the model can no longer go on: the page then begins anew, and what was asked is asked again. */
export async function isLoss(sam: Sam2 | undefined, error: unknown): Promise<boolean> {
  const codes = ["DEVICE_LOST", "OUT_OF_MEMORY", "INTERNAL"];
  if (!sam || !(error instanceof Sam2Error && codes.includes(error.code))) return false;
  return Promise.race([
    sam.lost.then(() => true),
    new Promise<false>((resolve) => setTimeout(() => resolve(false), LATER_MS)),
  ]);
}
