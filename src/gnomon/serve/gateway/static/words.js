// Numbers and times as people read them. Times are UTC; a title tells the reader's own.

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (n) => String(n).padStart(2, "0");

export function price(value, decimals) {
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** Decimals of a tick size written as text: "0.01" has two, "0.5" one, "25" none. */
export function decimalsOf(tick) {
  const [digits, exponent] = tick.toLowerCase().split("e");
  const written = (digits.split(".")[1] ?? "").replace(/0+$/, "").length;
  return Math.max(0, written - Number(exponent ?? 0));
}

export function percent(share, decimals = 1) {
  return `${(100 * share).toFixed(decimals)} %`;
}

export function signed(share, decimals = 1) {
  const text = (100 * Math.abs(share)).toFixed(decimals);
  const sign = Number(text) === 0 ? "" : share < 0 ? "−" : "+";
  return `${sign}${text} %`;
}

export function day(ms) {
  const at = new Date(ms);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
}

export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}

/** "1 May 12:00 UTC", with the year when it is not this one. */
export function stamp(ms, now = Date.now()) {
  const year = new Date(ms).getUTCFullYear();
  const dated = year === new Date(now).getUTCFullYear() ? day(ms) : `${day(ms)} ${year}`;
  return `${dated} ${clock(ms)} UTC`;
}

export function local(ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

/** A duration in its two largest units: "3 min", "2 h 5 min", "4 d 3 h". */
export function span(ms) {
  if (ms < MINUTE) return `${Math.max(0, Math.floor(ms / 1000))} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) {
    const minutes = Math.floor((ms % HOUR) / MINUTE);
    return `${Math.floor(ms / HOUR)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  const hours = Math.floor((ms % DAY) / HOUR), days = Math.floor(ms / DAY);
  return `${days.toLocaleString("en-US")} d${hours && days < 100 ? ` ${hours} h` : ""}`;
}

export function ago(ms, now = Date.now()) {
  return now >= ms ? `${span(now - ms)} ago` : `in ${span(ms - now)}`;
}
