/** What the checks found: faults stop the boot, warnings are logged. Names and reasons only, never a value. */
export class Findings {
  readonly faults: string[] = [];
  readonly warnings: string[] = [];

  fault(line: string): void {
    this.faults.push(line);
  }

  warn(line: string): void {
    this.warnings.push(line);
  }
}
