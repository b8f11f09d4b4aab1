/** An amount of bytes for a person, in units of 1024: `1.4 GiB`. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let amount = bytes;
  while (amount >= 1024 && units.length > 1) {
    amount /= 1024;
    units.shift();
  }
  const isWhole = units[0] === "B" || amount >= 100;
  return `${isWhole ? Math.round(amount) : amount.toFixed(1)} ${units[0]}`;
}
