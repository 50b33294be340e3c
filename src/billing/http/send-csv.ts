import type { ExactJsonNumber } from '@app/money';
import type { Response } from 'express';
import { toCsv } from '../reports/to-csv.js';

type Cell = string | number | null | ExactJsonNumber;

export function sendCsv<Column extends string>(
  response: Response,
  fileName: string,
  columns: readonly Column[],
  rows: readonly Readonly<Record<Column, Cell>>[],
): void {
  const cells = rows.map((row) =>
    columns.map((column) => {
      const value: Cell = row[column];
      if (value === null) return '';
      return typeof value === 'object' ? value.rawJSON : value;
    }),
  );
  response.type('text/csv').attachment(fileName).send(toCsv(columns, cells));
}
