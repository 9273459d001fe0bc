// Outlines that specs draw and expect as masks.

export type Outline = readonly (readonly [number, number])[];

export function circle(x: number, y: number, radius: number): Outline {
  return Array.from({ length: 360 }, (_, i) => {
    const angle = (i * Math.PI) / 180;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)] as const;
  });
}

export function square(x: number, y: number, half: number): Outline {
  return [
    [x - half, y - half],
    [x + half, y - half],
    [x + half, y + half],
    [x - half, y + half],
  ];
}

export function paint(context: OffscreenCanvasRenderingContext2D, outline: Outline, fill: string): void {
  context.fillStyle = fill;
  context.beginPath();
  for (const [x, y] of outline) context.lineTo(x, y);
  context.fill();
}
