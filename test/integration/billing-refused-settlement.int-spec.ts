import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  type BillingDatabase,
  type BillingMachine,
  booksOf,
  fund,
  openBillingDatabase,
  order,
  settling,
  startMachine,
  userId,
} from './billing-support.js';

let db: BillingDatabase;
let dataDir: string;
let user: string;

beforeEach(async () => {
  db = await openBillingDatabase(6);
  dataDir = await mkdtemp(join(tmpdir(), 'billing-refused-'));
  user = userId();
  await fund(db.dataSource, user, 1000n);
});
afterEach(async () => {
  await db.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** A row that nobody would want in a ledger, for as long as the database thinks so. */
const refuseCharges = (): Promise<unknown> =>
  db.dataSource.query(`ALTER TABLE ledger ADD CONSTRAINT none CHECK (kind <> 'charge') NOT VALID`);
const allowCharges = (): Promise<unknown> => db.dataSource.query('ALTER TABLE ledger DROP CONSTRAINT none');

/** As if its process were gone: both machines of this test live in one. */
async function bury(machine: BillingMachine): Promise<void> {
  const path = join(machine.journal.directory, 'owner.json');
  const owner = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(path, JSON.stringify({ ...owner, process: '999999-1' }));
}

it('a charge that the database refuses keeps its hold, and the next start books it', async () => {
  const hold = order(user, 10n);
  const machine = await startMachine(db.dataSource, {}, dataDir);
  await machine.upkeep.runOnce();
  await machine.holds.hold(hold);
  await refuseCharges();
  const charge = settling(hold, 4n);
  machine.settler.enqueue({ ...charge, mark: await machine.journal.append({ t: 'S', s: charge.record }) });
  await machine.settler.drain({ timeoutMs: 2000 });
  expect(machine.settler.refused).toBe(1);

  await machine.forgotten.tend([], [], 0);
  await machine.settler.drain({ timeoutMs: 2000 });
  expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 1000n, held: 10n, charges: 0 });

  await machine.upkeep.beforeApplicationShutdown();
  await bury(machine);
  await allowCharges();
  await using next = await startMachine(db.dataSource, {}, dataDir);
  await next.upkeep.runOnce();
  expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 996n, held: 0n, charges: 1 });
});

it('a deadlock is no refusal: the charge is tried until it is booked', async () => {
  await using machine = await startMachine(db.dataSource, {}, dataDir);
  const hold = order(user, 10n);
  await machine.holds.hold(hold);
  await db.dataSource.query('CREATE SEQUENCE tries');
  await db.dataSource.query(
    `CREATE FUNCTION fail_thrice() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       IF nextval('tries') <= 3 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected'; END IF;
       RETURN NEW;
     END $$`,
  );
  await db.dataSource.query(
    'CREATE TRIGGER fail_thrice BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION fail_thrice()',
  );
  machine.settler.enqueue(settling(hold, 4n));
  await machine.settler.drain({ timeoutMs: 5000 });
  expect(machine.settler.refused).toBe(0);
  expect(await booksOf(db.dataSource, user)).toMatchObject({ balance: 996n, held: 0n, charges: 1 });
});
