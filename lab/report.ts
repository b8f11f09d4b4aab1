/** Takes a line on how far the work is, for the person who waits. */
export type Report = (line: string) => void;
