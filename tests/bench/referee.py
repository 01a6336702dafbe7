"""What the DWARF of a file says about an address, read entry by entry with pyelftools.

Slow and simple, and of no common descent with libdw, libbfd or LLVM: it judges between
profd and them (explained.py), so that who is right is not a matter of votes. It follows
the standard: the function whose ranges hold the address; the inlined calls below it,
through every lexical block that holds the address too; the last row of the line table at
or before the address in a sequence that reaches beyond it.
"""
import bisect
import os
import sys

# Debian's module is plain Python: any python3 may have it, whichever comes first in PATH.
sys.path.append('/usr/lib/python3/dist-packages')
from elftools.dwarf.ranges import BaseAddressEntry  # noqa: E402
from elftools.elf.elffile import ELFFile  # noqa: E402

BLOCKS = ('DW_TAG_lexical_block', 'DW_TAG_try_block', 'DW_TAG_catch_block')
HOLD_FUNCTIONS = ('DW_TAG_subprogram', 'DW_TAG_namespace', 'DW_TAG_module', 'DW_TAG_class_type',
                  'DW_TAG_structure_type', 'DW_TAG_union_type', 'DW_TAG_lexical_block')
SET_FILE = 4  # DW_LNS_set_file


class Row:
    """A stretch of the line table: which file and line the code in it comes from."""

    def __init__(self, state, end, named):
        self.start, self.end = state.address, end
        self.file, self.line = state.file, state.line
        self.named = named  # an instruction of the sequence has set the file


class Unit:
    def __init__(self, referee, cu):
        self.referee, self.cu = referee, cu
        self.functions = self.rows = self.starts = self.files = None

    def attribute(self, name):
        a = self.cu.get_top_DIE().attributes.get(name)
        return a.value if a else None

    def load_functions(self):
        self.functions = []
        pending = [self.cu.get_top_DIE()]
        while pending:
            for die in pending.pop().iter_children():
                if die.tag == 'DW_TAG_subprogram':
                    self.functions += [(low, high, die) for low, high in self.referee.ranges(die)]
                if die.tag in HOLD_FUNCTIONS and die.has_children:
                    pending.append(die)

    def load_rows(self):
        self.rows, self.files = [], []
        program = self.referee.dwarf.line_program_for_CU(self.cu)
        if program:
            self.load_files(program.header)
            self.load_sequences(program)
        self.rows.sort(key=lambda row: row.start)
        self.starts = [row.start for row in self.rows]

    def load_files(self, header):
        home = (self.attribute('DW_AT_comp_dir') or b'').decode()
        dirs = [d.decode() for d in header['include_directory']]
        first = 0 if header['version'] >= 5 else 1  # older: 0 is where the compiler ran
        dirs = [''] * first + dirs
        files = [os.path.join(home, dirs[f.dir_index], f.name.decode())
                 for f in header['file_entry']]
        self.files = [''] * first + files

    def load_sequences(self, program):
        before, named = None, False
        for entry in program.get_entries():
            named |= entry.command == SET_FILE and not entry.is_extended
            if entry.state is None:
                continue
            if before and before.address < entry.state.address:
                self.rows.append(Row(before, entry.state.address, named_before))
            before, named_before = entry.state, named
            if entry.state.end_sequence:
                before, named = None, False

    def row(self, pc):
        if self.rows is None:
            self.load_rows()
        i = bisect.bisect_right(self.starts, pc) - 1
        return self.rows[i] if i >= 0 and pc < self.rows[i].end else None

    def file(self, index):
        return self.files[index] if 0 <= index < len(self.files) else ''


class Facts:
    """An address: its unit, the way to it (function first, then inlined calls), its row."""

    def __init__(self, pc, unit, paths):
        self.pc, self.unit, self.paths = pc, unit, paths
        self.path = max(paths, key=len, default=[])
        self.row = unit.row(pc) if unit else None

    def place(self):
        return (self.unit.file(self.row.file), self.row.line) if self.row else ('', 0)

    def chain(self):
        """[(names, file, line)], innermost first, as the tools answer; names: the linker's
        and the source's, what there is."""
        frames = []
        file, line = self.place()
        for die in reversed(self.path):
            frames.append((names(die), file, line))
            at = {k: die.attributes[k].value for k in ('DW_AT_call_file', 'DW_AT_call_line')
                  if k in die.attributes}
            file, line = self.unit.file(at.get('DW_AT_call_file', -1)), at.get('DW_AT_call_line', 0)
        return frames


def origin(die):
    for key in ('DW_AT_abstract_origin', 'DW_AT_specification'):
        if key in die.attributes:
            return die.get_DIE_from_attribute(key)
    return None


def names(die):
    """Of the entry and of those it comes from: [linkage name or '', name or '']."""
    found = {}
    for _ in range(8):
        for key in ('DW_AT_linkage_name', 'DW_AT_name'):
            if key in die.attributes:
                found.setdefault(key, die.attributes[key].value.decode())
        die = origin(die)
        if die is None:
            break
    return [found.get('DW_AT_linkage_name', ''), found.get('DW_AT_name', '')]


class Referee:
    def __init__(self, path):
        self.dwarf = ELFFile(open(path, 'rb')).get_dwarf_info()
        self.lists = self.dwarf.range_lists()
        self.index = self.dwarf.get_aranges()
        self.known = {}  # ranges by the offset of the entry
        self.units = {}  # by offset
        self.unit_ranges = None

    def unit(self, cu):
        return self.units.setdefault(cu.cu_offset, Unit(self, cu))

    def units_at(self, pc):
        """By the index, which may be incomplete, else by what each unit says of itself."""
        offset = self.index.cu_offset_at_addr(pc) if self.index else None
        if offset is not None:
            return [self.unit(self.dwarf.get_CU_at(offset))]
        if self.unit_ranges is None:
            self.unit_ranges = [(low, high, self.unit(cu)) for cu in self.dwarf.iter_CUs()
                                for low, high in self.ranges(cu.get_top_DIE())]
        return [unit for low, high, unit in self.unit_ranges if low <= pc < high]

    def ranges(self, die):
        if die.offset not in self.known:
            self.known[die.offset] = self.read_ranges(die)
        return self.known[die.offset]

    def read_ranges(self, die):
        a = die.attributes
        if 'DW_AT_ranges' not in a:
            if 'DW_AT_low_pc' not in a or 'DW_AT_high_pc' not in a:
                return []
            low, high = a['DW_AT_low_pc'].value, a['DW_AT_high_pc']
            return [(low, high.value if high.form == 'DW_FORM_addr' else low + high.value)]
        found = []
        base = die.cu.get_top_DIE().attributes.get('DW_AT_low_pc')
        base = base.value if base else 0
        for entry in self.lists.get_range_list_at_offset(a['DW_AT_ranges'].value, die.cu):
            if isinstance(entry, BaseAddressEntry):
                base = entry.base_address
                continue
            add = 0 if getattr(entry, 'is_absolute', False) else base
            found.append((entry.begin_offset + add, entry.end_offset + add))
        return [r for r in found if r[0] < r[1]]

    def holds(self, die, pc):
        return any(low <= pc < high for low, high in self.ranges(die))

    def descend(self, die, pc, path, found):
        """Each way down to where no inlined call is left that holds the address."""
        ways = len(found)
        for child in die.iter_children():
            if child.tag == 'DW_TAG_inlined_subroutine' and self.holds(child, pc):
                self.descend(child, pc, path + [child], found)
            elif child.tag in BLOCKS and self.holds(child, pc):
                before = len(found)
                self.descend(child, pc, path, found)
                if found[before:] == [path]:
                    found.pop()  # nothing in there
        if len(found) == ways:
            found.append(path)

    def first_way(self, die, pc):
        """The way down of one that goes into the first block that holds the address."""
        for child in die.iter_children():
            call = child.tag == 'DW_TAG_inlined_subroutine'
            if (call or child.tag in BLOCKS) and self.holds(child, pc):
                return ([child] if call else []) + self.first_way(child, pc)
        return []

    def look_at_first(self, pc):
        facts = self.look(pc)
        function = facts.path[:1]
        path = [function + self.first_way(function[0], pc)] if function else []
        return Facts(pc, facts.unit, path)

    def look(self, pc):
        units = self.units_at(pc)
        paths = []
        for unit in units:
            if unit.functions is None:
                unit.load_functions()
            for low, high, function in unit.functions:
                if low <= pc < high:
                    self.descend(function, pc, [function], paths)
            if paths:
                return Facts(pc, unit, paths)
        return Facts(pc, units[0] if units else None, [])
