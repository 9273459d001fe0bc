// On the server: the import must not throw there, and masks need no browser.
import { Mask } from "sam2-web";
import { Segment } from "./segment.js";

export default function Page() {
  const mask = Mask.fromRle({ size: [2, 2], counts: [1, 2, 1] });
  return (
    <main>
      <p id="area">{mask.area} pixels</p>
      <Segment />
    </main>
  );
}
