import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processTree } from '../measure/process-cost.ts';
import { freePort, startChild, SUBJECT_CORE, untilAnswers } from './child.ts';
import type { Subject } from './subject.ts';

export function nginxVersion(): string | undefined {
  const found = spawnSync('nginx', ['-v'], { encoding: 'utf8' });
  return found.status === 0 ? /nginx\/([\d.]+)/.exec(found.stderr)?.[1] : undefined;
}

/** A reverse proxy in C, for the order of magnitude: one worker, keep-alive to the upstream, nothing buffered or logged. */
export async function startNginx(folder: string, upstreamPort: number): Promise<Subject> {
  const port = await freePort();
  const prefix = join(folder, 'nginx');
  mkdirSync(prefix, { recursive: true });
  const file = join(prefix, 'nginx.conf');
  writeFileSync(file, configuration(prefix, port, upstreamPort));
  const child = startChild('nginx', ['-c', file, '-p', prefix, '-e', join(prefix, 'error.log')], {
    name: 'nginx',
    folder,
    core: SUBJECT_CORE,
  });
  await untilAnswers(`http://127.0.0.1:${port}/`, 'nginx', 10_000);
  return {
    name: 'nginx',
    title: `nginx ${nginxVersion()}`,
    port,
    path: '/v1/chat/completions',
    headers: [],
    pids: processTree(child.pid),
    helperPids: [],
    inspectorPort: undefined,
    forgetLog: child.forgetLog,
    stop: child.stop,
  };
}

function configuration(prefix: string, port: number, upstreamPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${prefix}/${kind};`)
    .join(' ');
  return `worker_processes 1; daemon off; pid ${prefix}/nginx.pid; worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
  access_log off; ${temporary}
  keepalive_requests 10000000; keepalive_timeout 300s; client_body_buffer_size 128k; tcp_nodelay on;
  upstream provider { server 127.0.0.1:${upstreamPort}; keepalive 4096; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer sk-bench"; proxy_buffering off; proxy_read_timeout 300s;
    }
  }
}
`;
}
