import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DEPLOYMENTS, requireProgram, run } from './programs.js';

/** In a network and an /etc of their own. */
function apart(script: string) {
  return run(
    requireProgram('unshare', 'util-linux'),
    [
      ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
      '--net',
      '--mount',
      'bash',
      '-c',
      `set -e; mount -t tmpfs none /etc; printf 'flush ruleset\\n' >/etc/nftables.conf; ${script}`,
    ],
    { env: { ...process.env, SETUP: join(DEPLOYMENTS, 'firewall-setup.sh') } },
  );
}

it('firewall-setup.sh closes, again without a change, is loaded at boot, and opens again', async () => {
  requireProgram('nft', 'nftables');
  const { code, stdout, stderr } = await apart(`
    nft add table ip docker
    "$SETUP" --ssh-from 203.0.113.0/24
    first=$(nft list ruleset)
    "$SETUP" --ssh-from 203.0.113.0/24
    [[ $first == "$(nft list ruleset)" ]]
    [[ $first == *'table ip docker'*'policy drop'*203.0.113.0/24* ]]
    cat /etc/nftables.conf
    nft --file /etc/nftables.conf
    nft list table inet llm_gateway >/dev/null
    "$SETUP" --remove
    echo "left: $(nft list ruleset)"
    cat /etc/nftables.conf`);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const boot = 'flush ruleset\ninclude "/etc/nftables.d/llm-gateway.nft"\n';
  expect(stdout).toContain(boot);
  expect(stdout.endsWith('left: \nflush ruleset\n')).toBe(true);
});
