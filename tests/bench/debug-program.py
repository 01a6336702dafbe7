#!/usr/bin/env python3
"""A C++ program with so many megabytes of debug information, or some more.

    debug-program.py MEGABYTES PROGRAM

A few units heavy with templates are compiled, -O2 -g, with local types, so that
none of their code is shared; then they are linked as often as it takes, under
other names. Code and debug information of every copy are its own. The objects are
kept beside PROGRAM: another size costs no more than the link.
"""
import os
import subprocess
import sys

UNITS = 4
CLASSES = 12

UNIT = '''
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

namespace {
template <int N> struct item {
	int key;
	std::string text;
	double weights[N %% 7 + 1];
	bool operator<(const item &other) const
	{
		return key < other.key || (key == other.key && text < other.text);
	}
};

template <typename T> struct tree {
	std::map<T, std::vector<std::shared_ptr<T>>> nodes;
	void put(const T &t) { nodes[t].push_back(std::make_shared<T>(t)); }
	template <typename F> int fold(int start, F f) const
	{
		for (const auto &[key, values] : nodes)
			for (const auto &value : values)
				start = f(start, key, *value);
		return start;
	}
};

template <int N> int work(int seed)
{
	tree<item<N>> all;
	std::vector<item<N>> list;
	std::unordered_map<std::string, std::function<int(int)>> calls;

	for (int i = 0; i < seed; i++) {
		item<N> it{seed ^ (i * N), std::to_string(i + N + %(unit)d), {}};
		all.put(it);
		list.push_back(it);
		calls.emplace(it.text, [it, i](int x) { return x + it.key * i; });
	}
	std::sort(list.begin(), list.end(),
		  [](const auto &a, const auto &b) { return b.text < a.text; });
	list.erase(std::unique(list.begin(), list.end(),
			       [](const auto &a, const auto &b) { return a.key == b.key; }),
		   list.end());
	std::stable_partition(list.begin(), list.end(), [](const auto &a) { return a.key %% 3; });
	seed = std::accumulate(list.begin(), list.end(), seed,
			       [](int s, const auto &a) { return s * 31 + a.key; });
	for (auto &[name, call] : calls)
		seed += call(static_cast<int>(name.size()));
	return all.fold(seed, [](int s, const auto &a, const auto &b) { return s + a.key * b.key; });
}
}

extern "C" int enter_%(unit)d(int seed)
{
	return %(sum)s;
}
'''


def debug_bytes(path):
    out = subprocess.run(['size', '-A', path], check=True, capture_output=True, text=True).stdout
    return sum(int(l.split()[1]) for l in out.splitlines() if l.startswith('.debug_'))


def compile_units(folder):
    objects = []
    for unit in range(UNITS):
        name = os.path.join(folder, f'unit-{unit}')
        objects.append(name + '.o')
        if os.path.exists(name + '.o'):
            continue
        with open(name + '.cc', 'w') as source:
            source.write(UNIT % {'unit': unit, 'sum': ' + '.join(
                f'work<{unit * CLASSES + i}>(seed)' for i in range(CLASSES))})
        subprocess.run(['g++', '-std=c++17', '-O2', '-g', '-c', '-o', name + '.tmp', name + '.cc'],
                       check=True)
        os.rename(name + '.tmp', name + '.o')
    return objects


def link(folder, objects, copies, program):
    entries = []
    parts = []
    for i in range(copies):
        for unit, path in enumerate(objects):
            part = os.path.join(folder, f'part-{unit}-{i}.o')
            rename = f'enter_{unit}=enter_{unit}_{i}'
            subprocess.run(['objcopy', '--redefine-sym', rename, path, part],
                           check=True)
            entries.append(f'enter_{unit}_{i}')
            parts.append(part)
    main = os.path.join(folder, 'main.c')
    with open(main, 'w') as source:
        source.writelines(f'int {e}(int);\n' for e in entries)
        source.write('int main(int argc, char **argv)\n{\n\tint sum = 0;\n\n')
        source.writelines(f'\tsum += {e}(argc);\n' for e in entries)
        source.write('\treturn sum & 1;\n}\n')
    subprocess.run(['gcc', '-g', '-c', '-o', main + '.o', main], check=True)
    subprocess.run(['g++', '-o', program + '.tmp', main + '.o'] + parts, check=True)
    for part in parts:
        os.unlink(part)
    os.rename(program + '.tmp', program)


def main():
    wanted, program = int(sys.argv[1]) * 10**6, sys.argv[2]
    folder = os.path.join(os.path.dirname(os.path.abspath(program)), 'debug-units')
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(program):
        return
    objects = compile_units(folder)
    each = sum(debug_bytes(o) for o in objects)
    link(folder, objects, -(-wanted * 6 // (each * 5)), program)


main()
