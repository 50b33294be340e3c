import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MONITORING } from './prometheus-server.js';

export interface PanelQuery {
  readonly panel: string;
  readonly expression: string;
  /** The labels that the legend names. */
  readonly legendLabels: readonly string[];
}

export interface DashboardVariable {
  readonly name: string;
  readonly selector: string;
  readonly label: string;
}

interface Dashboard {
  readonly panels: { readonly title: string; readonly targets?: { expr: string; legendFormat: string }[] }[];
  readonly templating: { readonly list: { name: string; type: string; definition?: string }[] };
  readonly annotations: { readonly list: { name: string; expr: string }[] };
}

/** The dashboard, read once. */
const dashboard = JSON.parse(
  readFileSync(join(MONITORING, 'grafana/dashboards/llm-gateway.json'), 'utf8'),
) as Dashboard;

/** What the dashboard asks, its variables filled in as Grafana does when all is chosen. */
export function panelQueries(): PanelQuery[] {
  return dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({
      panel: title,
      expression: filledIn(expr),
      legendLabels: [...legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map(([, label]) => label ?? ''),
    })),
  );
}

export function annotationQueries(): string[] {
  return dashboard.annotations.list.map(({ expr }) => filledIn(expr));
}

/** The variables that are filled by a query. */
export function dashboardVariables(): DashboardVariable[] {
  return dashboard.templating.list
    .filter(({ type }) => type === 'query')
    .map(({ name, definition = '' }) => {
      const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? [];
      return { name, selector: filledIn(selector), label };
    });
}

function filledIn(expression: string): string {
  return expression.replaceAll('$__rate_interval', '1m').replaceAll(/\$(\w+)/g, (_, name: string) => {
    if (!dashboard.templating.list.some((variable) => variable.name === name))
      throw new Error(`$${name} is no variable of the dashboard`);
    return '.*';
  });
}
