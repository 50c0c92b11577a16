// Numbers and counts as people read them.

const percents = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const counts = new Intl.NumberFormat("en");
const values = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

/** A probability. What is not quite certain is never shown as certain. */
export function percent(share) {
  if (share > 0.999 && share < 1) return "> 99.9%";
  if (share > 0 && share < 0.001) return "< 0.1%";
  return percents.format(share);
}

export const count = (number) => counts.format(number);
export const value = (number) => values.format(number);

/** `1 row`, `2 rows`. */
export const several = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

/** With a sign, and a real minus. */
export const signed = (number) => `${number < 0 ? "\u2212" : "+"}${Math.abs(number).toFixed(2)}`;

export const milliseconds = (number) => (number < 10 ? `${number.toFixed(1)} ms` : `${count(Math.round(number))} ms`);

/** A time to wait, roughly. */
export function roughly(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
