import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Server } from 'node:http';
import { statfs } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { EventLoopLag } from './event-loop-lag.js';

/** What the container may use; `null` without a limit. */
function memoryLimit(): number | null {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : null;
}

/** How this process and its machine are doing. Bytes, milliseconds and percent, by name. */
@Injectable()
export class SystemReport {
  #cpu = process.cpuUsage();
  #cpuAtMs = performance.now();
  #cpuPercent = 0;

  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    private readonly lag: EventLoopLag,
    private readonly adapter: HttpAdapterHost,
  ) {}

  async current() {
    const memory = process.memoryUsage();
    const heap = getHeapStatistics();
    const [load1m, load5m, load15m] = loadavg();
    return {
      timestamp: new Date().toISOString(),
      version: this.config.version,
      environment: this.config.environment,
      node_version: process.version,
      pid: process.pid,
      uptime_seconds: Math.floor(process.uptime()),
      cpu: { percent: this.#cpuSinceLast(), cores: availableParallelism() },
      load: { '1m': load1m, '5m': load5m, '15m': load15m },
      memory: {
        rss_bytes: memory.rss,
        external_bytes: memory.external,
        array_buffers_bytes: memory.arrayBuffers,
        limit_bytes: memoryLimit(),
        system_total_bytes: totalmem(),
        system_free_bytes: freemem(),
        percent: Math.round((1 - freemem() / totalmem()) * 1000) / 10,
      },
      heap: {
        used_bytes: heap.used_heap_size,
        total_bytes: heap.total_heap_size,
        limit_bytes: heap.heap_size_limit,
      },
      event_loop: this.lag.current(),
      disk: await this.#disk(),
      connections: { open: await this.#connections() },
    };
  }

  /** Of one core, since the last look; looks within a second of each other share a figure. */
  #cpuSinceLast(): number {
    const elapsedMs = performance.now() - this.#cpuAtMs;
    if (elapsedMs < 1_000) return this.#cpuPercent;
    const used = process.cpuUsage(this.#cpu);
    this.#cpuPercent = Math.round(((used.user + used.system) / 1000 / elapsedMs) * 1000) / 10;
    this.#cpu = process.cpuUsage();
    this.#cpuAtMs = performance.now();
    return this.#cpuPercent;
  }

  /** Of the file system that holds journal and embedded database. */
  async #disk() {
    const stats = await statfs(this.config.dataDir).catch(() => statfs('.'));
    const total = stats.blocks * stats.bsize;
    const free = stats.bavail * stats.bsize;
    return {
      total_bytes: total,
      free_bytes: free,
      percent: total > 0 ? Math.round((1 - free / total) * 1000) / 10 : 0,
    };
  }

  #connections(): Promise<number> {
    const server: Server = this.adapter.httpAdapter.getHttpServer();
    return new Promise((resolve) => server.getConnections((error, count) => resolve(error ? 0 : count)));
  }
}
