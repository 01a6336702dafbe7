/*
 * chrome-trace.js FILE: what Chrome's trace viewer (the page chrome://tracing, and Perfetto's
 * predecessor) makes of a trace. Its importer comes with Go's source, whose `go tool trace`
 * shows it; here the page's scripts run without a page: those that draw fail for want of
 * one and are left out. Prints, tab by tab,
 *
 *	warning TYPE TEXT
 *	thread PID TID RUNNING-NS WAITING-NS READY-NS SAMPLES EXITS PROCESS THREAD
 *	odd UNFINISHED OVERLAPS		slices without an end; slices within others
 *	stacks N			events with a stack that can be shown
 *
 * The second is as trace.py has it, which reads the file by the format's description.
 * Exits with 77 where there is no viewer.
 */
'use strict';
const fs = require('fs');
const vm = require('vm');
const zlib = require('zlib');

function find_viewer()
{
	for (const dir of fs.readdirSync('/usr/share').filter((d) => d.startsWith('go-'))) {
		const path = `/usr/share/${dir}/src/cmd/trace/static/trace_viewer_full.html`;

		if (fs.existsSync(path))
			return path;
	}
	console.log('no trace viewer: golang-go brings it with its source');
	process.exit(77);
}

function load_viewer(path)
{
	const html = fs.readFileSync(path, 'utf8');
	const script = html.slice(html.indexOf('<script>') + 8, html.lastIndexOf('</script>'));
	const anything = new Proxy(function () {}, {
		get: (_, key) => key === Symbol.toPrimitive ? () => '' : anything,
		apply: () => anything,
		construct: () => anything,
	});
	/* "Vinn" is what the viewer calls a JavaScript engine without a page. */
	const world = {isVinn: true, console, setTimeout, clearTimeout, performance,
		       Polymer: anything};

	world.global = world.self = world.window = world;
	vm.createContext(world);
	for (const part of script.split(/(?='use strict';)/)) {
		try {
			vm.runInContext(part, world);
		} catch (e) {
			continue;
		}
	}
	return world.tr;
}

/* As Python's ascii(). */
function escape(text)
{
	const short = {'\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t'};
	const hex = (n, width) => n.toString(16).padStart(width, '0');

	return [...text].map((c) => {
		const n = c.codePointAt(0);

		if (short[c])
			return short[c];
		if (n >= 0x20 && n < 0x7f)
			return c;
		return n < 0x100 ? '\\x' + hex(n, 2) : n < 0x10000 ? '\\u' + hex(n, 4) : '\\U' + hex(n, 8);
	}).join('');
}

const tell = (...fields) =>
	console.log(fields.map((f) => typeof f === 'string' ? escape(f) : f).join('\t'));

/* A thread is on a CPU, or it waits, or it could run: never two of them at once. */
function overlaps(slices)
{
	let n = 0, end = 0;

	for (const s of [...slices].sort((a, b) => a.start - b.start || a.duration - b.duration)) {
		n += s.start < end - 1e-6;
		end = Math.max(end, s.end);
	}
	return n;
}

const tr = load_viewer(find_viewer());
const model = new tr.Model();
const importer = new tr.importer.Import(model, new tr.importer.ImportOptions());

importer.importTraces([zlib.gunzipSync(fs.readFileSync(process.argv[2])).toString('utf8')]);
for (const w of model.importWarnings)
	tell('warning', w.type, w.message);
let unfinished = 0, overlapping = 0, stacks = 0;
for (const t of model.getAllThreads()) {
	const all = t.sliceGroup.slices;
	const sched = all.filter((s) => s.category === 'sched' && s.title !== 'exit');
	const spent = (title) => Math.round(1e6 * sched.filter((s) => s.title === title)
		.reduce((sum, s) => sum + s.duration, 0));

	unfinished += all.filter((s) => s.didNotFinish).length;
	overlapping += overlaps(sched);
	stacks += all.filter((s) => s.startStackFrame && s.startStackFrame.stackTrace.length > 0).length;
	if (t.parent.pid !== 0)
		tell('thread', t.parent.pid, t.tid, spent('running'), spent('waiting'), spent('ready'),
		     all.filter((s) => s.category === 'sample').length,
		     all.filter((s) => s.title === 'exit').length, t.parent.name || '', t.name || '');
}
tell('odd', unfinished, overlapping);
tell('stacks', stacks);
