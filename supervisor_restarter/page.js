'use strict';

// Milliseconds: between two looks at rest, and while something restarts; until the next try; how old
// what is shown may be; how long an answer may take; how long a restart that has ended stays open.
const REST = 3500, RUN = 700, PATIENCE = 2000, OLD = 4800, LONGEST = 10000, LINGER = 60000;
const BREATH = 150;              // after an answer that took long
const FEW = {rest: 5, run: 20};  // rows of a group that nobody has opened
const ADDRESS = 8000;            // characters of an address

const WAYS = {
  configured: {},
  one: {max_unavailable: 1, max_surge: 0},
  surge: {max_unavailable: 0, max_surge: 1},
  all: {max_unavailable: 0, max_surge: 0, stagger_factor: 1},
};
const SAID = {one: 'one at a time', surge: 'new before old', all: 'all at once'};
const PHASES = ['waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed'];
const TROUBLE = ['BACKOFF', 'FATAL', 'UNKNOWN'];
// With credentials in the page's own address, a relative one is refused.
const BASE = location.origin + location.pathname;

const known = new Map();  // groups by their names, drawn or not
let token = '';
let timer = 0;
let ageing = 0;
let looks = 0;            // how many have begun
let shown = 0;            // which of them is drawn
let lost = '';            // why nothing is known, and since when
let touched = -Infinity;  // when the pointer was last moved over the groups

const find = (selector, within = document) => within.querySelector(selector);
const copy = name => find('template#' + name).content.firstElementChild.cloneNode(true);
const plural = (number, what) => `${number} ${what}${number === 1 ? '' : what.endsWith('s') ? 'es' : 's'}`;

function make(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), {textContent: text}, properties);
}

// Only what differs is written: it costs less, and nobody loses a selection.
function write(element, text, className = element.className) {
  if (element.textContent !== text) element.textContent = text;
  if (element.className !== className) element.className = className;
}

function fill(element, texts, each) {
  const key = JSON.stringify(texts);
  if (element.key === key) return;
  element.key = key;
  element.replaceChildren(...texts.map(each || (text => make('li', text))));
}

// An element that has the focus keeps it, where the browser can.
function place(parent, element, index) {
  const there = parent.children[index];
  if (there === element) return;
  parent[element.parentNode === parent && parent.moveBefore ? 'moveBefore' : 'insertBefore'](element, there || null);
}

function able(button, yes) {
  button.setAttribute('aria-disabled', !yes || Boolean(lost));
}

// Asking supervisord

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(BASE + path, {...options, signal: AbortSignal.timeout(LONGEST)});
  } catch (why) {
    throw new Error('supervisord does not answer');
  }
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(said.error || `supervisord answers with the status ${response.status}`);
  return said;
}

// Looks at all groups, and again as long as somebody can see it.
async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  const mine = ++looks;
  const began = performance.now();
  const opened = openOnes();
  const asked = [['find', find('#filter').value.trim()], ...opened.map(group => ['group', group.name])];
  try {
    const said = await ask('status?' + new URLSearchParams(asked));
    if (mine < shown) return;
    shown = mine;
    token = said.token;
    draw(said, found());
    if (mine !== looks) return;
    const unseen = openOnes().some(group => !opened.includes(group));
    again(unseen ? 0 : Math.max(BREATH, (said.restarting ? RUN : REST) - (performance.now() - began)));
  } catch (why) {
    if (mine !== looks) return;
    lose(why.message);
    again(PATIENCE);
  }
}

function again(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(look, milliseconds);
}

// The groups whose processes are to be seen: those that are open and near the window.
function openOnes() {
  let room = ADDRESS;
  return [...known.values()].filter(group => {
    if (!group.section.isConnected || !isOpen(group)) return false;
    const {top, bottom} = group.section.getBoundingClientRect();
    if (bottom < -500 || top > innerHeight + 500) return false;
    room -= encodeURIComponent(group.name).length + 7;
    return room > 0;
  });
}

function lose(why) {
  if (!lost) {
    lost = `${why}. What is shown is of ${new Date().toLocaleTimeString()}`;
    document.body.classList.add('lost');
    for (const button of document.querySelectorAll('.act')) able(button, false);
    document.title = '(?) Supervisor groups';
  }
  lost = why + lost.slice(lost.indexOf('. What'));
  write(find('#lost'), `${lost}; this page asks again every ${PATIENCE / 1000} seconds.`);
  find('#lost').hidden = false;
}

function found() {
  const heard = lost ? ['supervisord answers again.'] : [];
  lost = '';
  document.body.classList.remove('lost');
  find('#lost').hidden = true;
  age();
  return heard;
}

function age() {
  clearTimeout(ageing);
  ageing = setTimeout(() => document.hidden || lose('supervisord does not answer'), OLD);
}

// For screen readers; the same stands at the group, too.
function tell(...sentences) {
  if (sentences.length > 3) sentences.splice(3, Infinity, `and ${sentences.length - 3} more.`);
  if (sentences.length) write(find('#said'), sentences.join(' '));
}

async function post(path, group, options) {
  return ask(path, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', 'X-Restarter-Token': token},
    body: JSON.stringify({group: group.name, options}),
  });
}

async function press(path, group, options = {}) {
  refuse(group, '');
  try {
    const said = await post(path, group, options);
    group.watched = true;  // even if it has ended before the next look
    await look();
    return said;
  } catch (why) {
    await look();  // When the reason is shown, the button works again.
    if (!lost) refuse(group, why.message);
  }
}

function refuse(group, sentence) {
  write(group.refused, sentence);
  group.refused.hidden = !sentence;
  if (sentence) tell(`${group.name}: ${sentence}`);
}

// Asks the user; returns what was chosen, or nothing
function choose(title, text, items, choices) {
  const dialog = find('dialog');
  write(find('h2', dialog), title);
  write(find('p', dialog), text);
  fill(find('ul', dialog), items);
  dialog.returnValue = '';
  find('.buttons', dialog).replaceChildren(...choices.map(([label, value]) => {
    const button = make('button', label, {type: 'button', onclick: () => dialog.close(value)});
    button.autofocus = !value;
    return button;
  }));
  dialog.showModal();
  return new Promise(done => { dialog.onclose = () => done(dialog.returnValue); });
}

// What the buttons do

function wayOf(group) {
  return SAID[group.way.value] || brief(group.told.way);
}

const brief = way => way.replace('rolling, ', '');

function labelled(verb, way) {
  return `${verb}${way.startsWith('at ') ? ',' : ''} ${way}`;
}

async function restart(group) {
  let way = group.way.value;
  if (wayOf(group) === SAID.all && group.told.total > 1) {
    way = await allAtOnce(group, group.told.total, way);
  }
  if (way) await press('restart', group, WAYS[way]);
}

async function resume(group) {
  const {left, left_way} = group.told.restart;
  const way = left_way !== SAID.all || left < 2 ? 'as before' : await allAtOnce(group, left, 'as before');
  if (way) await press('restart', group, {...WAYS[way], resume: true});
}

function allAtOnce(group, number, way) {
  return choose(`Restart ${number} processes of ${group.name} at once?`,
    'They are down until the new ones are up.', [],
    [['Restart all at once', way], ['One at a time instead', 'one'], ['Not now', '']]);
}

async function update(group) {
  let plan;
  refuse(group, '');
  try {
    plan = await post('update', group, {dry_run: true});
  } catch (why) {
    return refuse(group, why.message);
  }
  const items = plan.changes.map(({name, action, changed}) =>
    `${action} ${name}${changed.length ? ': ' + changed.join(', ') : ''}`);
  if (plan.more) items.push(`and ${plan.more} more`);
  const kept = `${plural(plan.keep, 'process')} ${plan.keep === 1 ? 'is' : 'are'} kept.`;
  const choice = await choose(`Update ${group.name} from the configuration file?`,
    items.length ? kept : `There is nothing to do. ${kept}`, items,
    items.length ? [[labelled('Update', wayOf(group)), 'yes'], ['Not now', '']] : [['Close', '']]);
  if (choice) await press('update', group, WAYS[group.way.value]);
}

const ACTIONS = {
  restart,
  update,
  resume,
  cancel: group => press('cancel', group),
};

// Drawing what supervisord says

function draw(said, heard = []) {
  const hold = performance.now() - touched < 1000 || find('dialog').open;  // Nobody is to hit another button.
  const told = new Set(said.groups.map(({name}) => name));
  for (const [name, group] of known) {
    if (told.has(name)) continue;
    group.section.remove();
    if (!said.left_out && !find('#filter').value) known.delete(name);
  }
  said.groups.forEach((one, index) => {
    const group = known.get(one.name) || newGroup(one.name);
    heard.push(...drawGroup(group, one, said.now));
    if (!group.section.isConnected || !hold) place(find('#groups'), group.section, index);
  });
  tell(...heard);
  find('#legend').hidden = !find('section.open:not(.bare)');
  drawNumbers(said);
  write(find('#identifier'), ` of ${said.identifier}`);
  write(find('footer'), `supervisor-restarter ${said.version}`);
  const text = find('#filter').value.trim();
  write(find('#none'), said.left_out ? `And ${plural(said.left_out, 'more group')}: the filter finds them.`
    : said.groups.length ? '' : text ? `No group and no process has “${text}” in its name, or is in that state.`
      : 'There are no groups.');
}

function drawNumbers(said) {
  const total = Object.values(said.states).reduce((sum, number) => sum + number, 0);
  const parts = [`${plural(said.all, 'group')}, ${plural(total, 'process')}`,
    ...byTrouble(said.states), ...(said.failed ? [`${plural(said.failed, 'restart')} failed`] : []),
    ...(said.restarting ? [`${said.restarting} restarting`] : [])];
  const current = find('#filter').value.trim().toUpperCase();
  fill(find('#numbers'), parts, part => {
    if (!Array.isArray(part)) return make('span', part, {className: part.endsWith('failed') ? 'bad' : ''});
    const [state, number] = part;
    const button = make('button', `${number} ${state}`, {type: 'button', className: `state ${kindOf(state)}`, onclick: () => {
      find('#filter').value = button.getAttribute('aria-pressed') === 'true' ? '' : state;
      look();
    }});
    button.setAttribute('aria-label', `${number} ${state}: show them alone`);
    return button;
  });
  for (const button of document.querySelectorAll('#numbers button')) {
    button.setAttribute('aria-pressed', button.textContent.endsWith(' ' + current));
  }
  const worst = said.groups.filter(({rank}) => rank < 2).length;
  document.title = (worst ? `(${worst}!) ` : said.restarting ? '(…) ' : '') + 'Supervisor groups';
}

const kindOf = state => TROUBLE.includes(state) ? 'error' : state === 'RUNNING' ? 'running' : 'other';

function byTrouble(states) {
  const rank = ([state]) => ['error', 'other', 'running'].indexOf(kindOf(state)) + state;
  return Object.entries(states).sort((one, other) => rank(one) < rank(other) ? -1 : 1);
}

function newGroup(name) {
  const section = copy('group');
  const group = {name, section, rows: new Map(), open: null, until: 0, watched: false};
  for (const part of ['name', 'states', 'last', 'overall', 'refused', 'body', 'faults', 'warnings', 'way', 'more', 'tools', ...Object.keys(ACTIONS)]) {
    group[part === 'name' ? 'title' : part] = find('.' + part, section);
  }
  group.title.textContent = name;
  section.setAttribute('aria-label', 'Group ' + name);
  group.title.onclick = () => {
    group.open = !isOpen(group);
    showBody(group);
    look();
  };
  group.more.onclick = () => {
    group.open = true;
    look();
  };
  for (const [part, action] of Object.entries(ACTIONS)) {
    group[part].onclick = () => group[part].getAttribute('aria-disabled') !== 'true' && action(group);
  }
  group.way.onchange = () => drawButtons(group);
  known.set(name, group);
  return group;
}

function isOpen(group) {
  return group.open ?? Boolean(group.told && (group.told.rank < 3 || group.told.found || performance.now() < group.until));
}

function showBody(group) {
  const open = isOpen(group);
  group.body.hidden = !open;
  group.title.setAttribute('aria-expanded', open);
  group.section.classList.toggle('open', open);
}

const runs = told => Boolean(told.restart) && told.restart.state !== 'FINISHED';

// Returns the sentences for screen readers.
function drawGroup(group, told, now) {
  const before = group.told;
  const ended = told.restart && !runs(told) && (group.watched || before && runs(before));
  group.told = told;
  group.watched = false;
  if (runs(told) || ended) group.until = performance.now() + LINGER;
  fill(group.states, byTrouble(told.states), ([state, number]) =>
    make('span', `${number} ${state}`, {className: `state ${kindOf(state)}`}));
  const {restart} = told;
  write(group.last, restart ? standing(restart, now) : '', restart && restart.faults ? 'last bad' : 'last');
  group.section.classList.toggle('trouble', told.rank < 2);
  group.section.classList.toggle('runs', runs(told));
  group.section.classList.toggle('bare', !restart);
  group.overall.hidden = !runs(told);
  if (runs(told)) {
    drawBar(group.overall, ['restarted', 'removed', 'failed', 'starting', 'stopping', 'waiting'].map(phase => [phase, restart[phase]]));
  }
  drawButtons(group);
  showBody(group);
  if (told.rows) drawDetails(group, told, now);
  const heard = [];
  if (ended) heard.push(`${group.name}: ${standing(restart)}.`);
  for (const state of before ? TROUBLE : []) {
    if (told.states[state] > (before.states[state] || 0)) heard.push(`${group.name}: ${told.states[state]} ${state}.`);
  }
  return heard;
}

function standing(restart, now) {
  const seconds = inSeconds(restart.elapsed);
  const left = restart.waiting ? `, ${restart.waiting} left as ${restart.waiting === 1 ? 'it was' : 'they were'}` : '';
  if (restart.state === 'FINISHED') {
    const failed = restart.failed ? `, ${restart.failed} failed` : '';
    const ago = now && restart.began ? `, ${inTime(now - restart.began - restart.elapsed)} ago` : '';
    const warned = restart.warnings ? `, ${plural(restart.warnings, 'warning')}` : '';
    return `restarted ${restart.restarted} of ${restart.total} in ${seconds}${failed}${left}${warned}${ago}`;
  }
  const parts = PHASES.filter(phase => restart[phase]).map(phase => `${restart[phase]} ${phase}`);
  const beside = restart.surging ? `, ${restart.surging} with two processes` : '';
  return `${restart.state.toLowerCase()}: ${parts.join(', ')}${beside}; ${seconds}`;
}

function inSeconds(number) {
  return `${number.toFixed(number < 10 ? 2 : 1)} s`;
}

function inTime(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

function drawButtons(group) {
  const {told} = group;
  const going = runs(told);
  const left = told.restart && !going ? told.restart.left : 0;
  fill(group.way, [['configured', `as configured: ${told.way}`], ...Object.entries(SAID)], ([value, label]) =>
    make('option', label, {value}));
  const way = wayOf(group);
  write(group.restart, going ? 'Restarting…' : told.total < 2 && !/new|more/.test(way) ? 'Restart' : labelled('Restart', way));
  group.resume.hidden = !left;
  if (left) write(group.resume, left === 1 ? 'Restart the one that is left' : labelled(`Restart the ${left} that are left`, brief(told.restart.left_way)));
  group.cancel.hidden = !going;
  for (const button of [group.restart, group.update, group.resume]) able(button, !going);
  able(group.cancel, going && told.restart.state !== 'SETTLING');
  for (const part of Object.keys(ACTIONS)) {
    const label = `${group[part].textContent}: ${group.name}`;
    if (group[part].getAttribute('aria-label') !== label) group[part].setAttribute('aria-label', label);
  }
  group.way.setAttribute('aria-label', `How to restart ${group.name}`);
}

function drawDetails(group, told, now) {
  fill(group.faults, told.faults);
  fill(group.warnings, told.warnings);
  const few = group.open ? Infinity : group.until > performance.now() ? FEW.run : FEW.rest;
  const rows = told.rows.slice(0, few);
  const list = find('tbody', group.section);
  const names = new Set(rows.map(([name]) => name));
  for (const [name, row] of group.rows) {
    if (!names.has(name)) {
      row.remove();
      group.rows.delete(name);
    }
  }
  rows.forEach((told, index) => {
    const [name] = told;
    const row = group.rows.get(name) || newRow(group, name);
    place(list, row, index);
    drawRow(group, row, told, now);
  });
  const hidden = told.rows.length - rows.length;
  group.more.hidden = !hidden && !told.more;
  write(group.more, hidden ? `Show all ${told.rows.length + told.more}` : `${told.more} more: the filter finds them`);
  able(group.more, hidden);
}

function newRow(group, name) {
  const row = find('tr', copy('row'));
  find('th span', row).textContent = name;
  const button = find('button', row);
  button.setAttribute('aria-label', `Restart ${group.name}:${name}`);
  button.onclick = () => button.getAttribute('aria-disabled') !== 'true'
    && press('restart', group, {...WAYS[group.way.value], processes: [name]});
  group.rows.set(name, row);
  return row;
}

function drawRow(group, row, [name, state, pid, since, logs, note, second, slot], now) {
  const [chip, , pids, up, log, course, phase, action] = row.children;
  row.classList.toggle('trouble-row', kindOf(state) === 'error');
  write(chip.firstChild, state, `state ${kindOf(state)}`);
  const isFault = group.told.faults.some(text => text.endsWith(note));  // which stands above
  write(find('.note', row), isFault ? '' : note);
  find('.note', row).hidden = !note || isFault;
  write(pids, second ? `${pid} + ${second}` : pid ? String(pid) : '');
  write(up, since ? (pid ? '' : 'down ') + inTime(now - since) : '');
  const link = encodeURIComponent(`${group.name}:${name}`);
  fill(log, [[1, 'log', `../tail.html?processname=${link}&limit=4096`], [2, 'errors', `../logtail/${link}/stderr`]].filter(([bit]) => logs & bit), ([, text, href]) => {
    const made = make('a', text, {href});
    made.setAttribute('aria-label', `${text} of ${group.name}:${name}`);
    return made;
  });
  const running = runs(group.told);
  able(find('button', action), !running);
  find('button', action).hidden = state === 'gone';
  if (!slot) {
    write(phase, '', 'phase');
    course.firstChild.replaceChildren();
    return;
  }
  const [at, changes] = slot;
  const last = changes.length ? changes[changes.length - 1][1] : 0;
  const settled = ['restarted', 'failed', 'removed'].includes(at);
  const {elapsed} = group.told.restart;
  write(phase, at === 'waiting' ? (running ? 'waiting' : 'left as it was')
    : settled ? `${at} after ${inSeconds(last)}` : `${at} for ${inSeconds(elapsed - last)}`,
    at === 'failed' ? 'phase bad' : 'phase');
  // At the end it goes on for a little, or the last change would be at the edge.
  const until = Math.max(elapsed * (running ? 1 : 1.03), 0.001);
  drawBar(course.firstChild, changes.map(([phase, begin], index) =>
    [phase, Math.max(0, (index + 1 < changes.length ? changes[index + 1][1] : until) - begin)]),
    changes.length ? changes[0][1] : until);
}

// Parts with their lengths, after a gap; together they fill the bar.
function drawBar(bar, parts, gap = 0) {
  const all = gap ? [['', gap], ...parts] : parts;
  const sum = all.reduce((total, [, length]) => total + length, 0) || 1;
  while (bar.children.length > all.length) bar.lastChild.remove();
  all.forEach(([phase, length], index) => {
    const part = bar.children[index] || bar.appendChild(document.createElement('i'));
    write(part, '', phase || 'gap');
    const grow = (1000 * length / sum).toFixed(2);
    if (part.style.flexGrow !== grow) part.style.flexGrow = grow;
  });
}

for (const phase of PHASES.slice(0, -1)) {
  const item = make('li', '');
  const swatch = make('span', '', {className: 'bar'});
  drawBar(swatch, [[phase, 1]]);
  item.append(swatch, phase);
  find('#legend').append(item);
}
find('#groups').addEventListener('pointermove', () => { touched = performance.now(); });
find('#filter').addEventListener('input', () => again(150));
document.addEventListener('scroll', () => {
  if (openOnes().some(group => !group.told.rows)) again(150);
}, {passive: true});
document.addEventListener('visibilitychange', () => {
  age();
  look();
});
age();
look();
