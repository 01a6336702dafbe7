/* JSON, arrays, strings, maps. */
let x = 1;
const number = () => (x = (x * 1103515245 + 12345) % 2147483648) >>> 8;

let document = Array.from({length: 20000}, (_, i) => ({
	id: i, name: 'item ' + number(), tags: [number() % 50, number() % 50], price: number() / 100,
}));
const groups = new Map();
for (let round = 0; round < 40; round++) {
	document = JSON.parse(JSON.stringify(document));
	document.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id);
	for (const d of document.filter((d) => d.id % 3 !== round % 3)) {
		const tag = 't' + d.tags[round & 1];
		groups.set(tag, (groups.get(tag) || 0) + Math.round(d.price));
	}
}
const buffer = Buffer.from(JSON.stringify(document));
console.log(buffer.length, require('crypto').createHash('sha256').update(buffer).digest('hex'));
console.log([...groups].sort().map((g) => g.join('=')).join(' '));
