"""Pictures from the CSV files: `python -m benchmarks.pictures`; needs matplotlib."""

import argparse
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

from benchmarks.results import RESULTS, read

try:
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter
except ImportError:
    raise SystemExit("pictures need matplotlib: pip install 'supervisor-restarter[benchmark]'"
                     ) from None


class Style(NamedTuple):
    """How a contender is drawn."""

    label: str
    colour: str
    line: str = '-'


OURS, OTHER, GREY = '#0b6e4f', '#c1440e', '#555555'
STYLES = {
    'floor': Style('stop and start alone', GREY, ':'),
    'plugin': Style('this plugin, XML-RPC', OURS),
    'plugin, command': Style('this plugin, command', OURS, '--'),
    'plugin, rolling': Style('this plugin, rolling 25 %', '#58b88f'),
    'plugin, surge': Style('this plugin, surge 25 %', '#58b88f', '--'),
    'supervisorctl restart': Style('supervisorctl restart', OTHER),
    'algorithm of 2013': Style('algorithm of 2013', '#e39b5a'),
    'wildcards mrestart': Style('supervisor-wildcards', '#6a4c93'),
    'serialrestart': Style('supervisor-serialrestart', '#b08bd0'),
    'circus restart': Style('circus restart', '#1f6fb4'),
    'circus reload': Style('circus reload', '#1f6fb4', '--'),
    'pm2 restart': Style('pm2 restart', '#c2a000'),
}

# By name of the picture: its title, and what of restarts.csv it shows, for which startsecs.
RESTARTS = {
    'restart-seconds': ('Seconds until every process is new and up', 'seconds_median', 0),
    'restart-seconds-startsecs-1': ('Seconds until every process is new and up',
                                    'seconds_median', 1),
    'restart-cpu': ('CPU seconds that the daemon uses for a restart', 'cpu_median', 0),
}

Rows = List[Dict[str, str]]
Points = List[Tuple[int, float]]


def curves(rows: Rows, startsecs: int, column: str) -> Dict[str, Points]:
    """Return, by contender, the points of a curve: processes, and the value of a column."""
    found = {name: sorted((int(row['processes']), float(row[column])) for row in rows
                          if (row['contender'], row['startsecs']) == (name, str(startsecs)))
             for name in STYLES}
    return {name: points for name, points in found.items() if points}


def apart(heights: List[float], least: float) -> List[float]:
    """Return heights in the same order that are at least `least` apart, near the given ones."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = list(heights)
    for _ in range(200):
        for below, above in zip(order, order[1:]):
            gap = least - (moved[above] - moved[below])
            if gap > 1e-9:
                moved[below] -= gap / 2
                moved[above] += gap / 2
    return moved


def over_processes(rows: Rows, name: str, folder: Path) -> None:
    """Draw a column over the number of processes, both logarithmic, a curve for each contender."""
    title, column, startsecs = RESTARTS[name]
    found = curves(rows, startsecs, column)
    figure, axes = plt.subplots(figsize=(8, 5))
    for contender, points in found.items():
        style = STYLES[contender]
        ours = contender.startswith('plugin')
        axes.plot(*zip(*points), style.line, color=style.colour, marker='o', markersize=4,
                  linewidth=2.6 if ours else 1.6, zorder=3 if ours else 2)
    axes.set_xscale('log')
    axes.set_yscale('log')
    sizes = sorted({size for points in found.values() for size, _ in points})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: '%g s' % value))
    axes.set_xlabel('processes in the group')
    axes.set_title('%s (startsecs=%d)' % (title, startsecs), loc='left', fontsize=12)
    axes.grid(alpha=0.25)
    axes.spines[['top', 'right']].set_visible(False)
    _label_ends(axes, found)
    _save(figure, folder / (name + '.svg'))


def _label_ends(axes: Any, found: Dict[str, Points]) -> None:
    """Write each name at the right, joined by a thin line to where its curve ends."""
    names = list(found)
    place = axes.transAxes.inverted()
    ends = [place.transform(axes.transData.transform(found[name][-1])) for name in names]
    for name, (x, y), height in zip(names, ends, apart([end[1] for end in ends], 0.058)):
        style = STYLES[name]
        axes.annotate(style.label, (x, y), (1.06, height), xycoords='axes fraction',
                      textcoords='axes fraction', color=style.colour, va='center', fontsize=10,
                      fontweight='bold' if name.startswith('plugin') else 'normal',
                      annotation_clip=False,
                      # The line leads to the middle of the label's left edge, and so through none.
                      arrowprops={'arrowstyle': '-', 'color': style.colour, 'linewidth': 0.5,
                                  'alpha': 0.6, 'relpos': (0, 0.5), 'shrinkA': 2, 'shrinkB': 3})


STATES = {'RUNNING': ('RUNNING', OURS), 'STOPPING': ('stopping', OTHER),
          'STOPPED': ('down', '#333333'), 'EXITED': ('down', '#333333'),
          'STARTING': ('starting', '#f2c14e')}

TITLES = {'rolling': 'Rolling, max_unavailable = 3: at most 3 of %d processes are down',
          'surge': 'New before old, max_surge = 3: at most 3 more than %d processes\n'
                   'where a slot has two processes, the lower half is the second one'}
WHOLE, HALF = 0.72, 0.36  # how high bars are


def timeline(rows: Rows, folder: Path) -> None:
    """Draw a bar for each slot, coloured by the state of its process over time.

    Where it has two processes, the second one, NAME.SUFFIX, is the lower half of the bar.
    """
    pacings = [pacing for pacing in TITLES if any(row['pacing'] == pacing for row in rows)]
    figure, panels = plt.subplots(len(pacings), figsize=(8, 3.9 * len(pacings)), sharex=True,
                                  squeeze=False)
    for pacing, axes in zip(pacings, panels[:, 0]):
        bars = [row for row in rows if row['pacing'] == pacing]
        names = sorted({row['process'].split('.')[0] for row in bars})
        for row in sorted(bars, key=lambda row: row['process']):
            begin, end = float(row['begin']), float(row['end'])
            slot, second, _ = row['process'].partition('.')
            axes.barh(names.index(slot) - (HALF / 2 if second else 0), end - begin, left=begin,
                      height=HALF if second else WHOLE, color=STATES[row['state']][1], linewidth=0)
        axes.set_yticks(range(len(names)), names, fontsize=9)
        axes.tick_params(labelbottom=True)
        axes.set_title(TITLES[pacing] % len(names), loc='left', fontsize=12,
                       pad=30 if axes is panels[0, 0] else None)  # room for the legend
        axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.set_xlim(min(float(row['begin']) for row in rows), max(float(row['end']) for row in rows))
    axes.set_xlabel('seconds since the call')
    present = {row['state'] for row in rows}
    shown = list(dict.fromkeys(STATES[state] for state in STATES if state in present))
    panels[0, 0].legend(handles=[Patch(color=colour, label=label) for label, colour in shown],
                        ncols=len(shown), loc='lower left', bbox_to_anchor=(-0.01, 1.0),
                        frameon=False)
    figure.tight_layout(h_pad=2)
    _save(figure, folder / 'rolling-timeline.svg')


def _save(figure: Any, path: Path) -> None:
    # No date, so that the same figures give the same file.
    figure.savefig(str(path), bbox_inches='tight', facecolor='white', metadata={'Date': None})
    plt.close(figure)
    print(path.name)


def main() -> None:
    """Draw what there are results for."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.pictures', description=__doc__)
    parser.add_argument('--results', type=Path, default=RESULTS, metavar='FOLDER',
                        help='where the CSV files are (default: %(default)s)')
    parser.add_argument('--folder', type=Path, help='where the pictures go (default: beside them)')
    options = parser.parse_args()
    plt.switch_backend('agg')
    plt.rcParams['svg.hashsalt'] = 'supervisor-restarter'
    folder = options.folder or options.results
    folder.mkdir(parents=True, exist_ok=True)
    restarts, states = read(options.results, 'restarts'), read(options.results, 'timeline')
    if not restarts and not states:
        print('no results in %s: run `python -m benchmarks` first' % options.results)
    for name in RESTARTS if restarts else ():
        over_processes(restarts, name, folder)
    if states:
        timeline(states, folder)


if __name__ == '__main__':
    main()
