"""Disagreements that are a tool's own: known shortcomings, each told by what the DWARF says.

A rule speaks only of an address for which the DWARF (referee.py) confirms profd in every
frame. It does not excuse an answer for looking alike: it works out, from the DWARF and
the symbol table, what the tool says because of that shortcoming, and this has to be what
it said, in every frame. Anything else stays a disagreement.

Seen with binutils 2.40, elfutils 0.188 and LLVM 14.
"""
from referee import names

CXX = (0x04, 0x1a, 0x21, 0x2b)  # DW_LANG_C_plus_plus, _11, _14, _20
TYPES = ('DW_TAG_class_type', 'DW_TAG_structure_type', 'DW_TAG_union_type', 'DW_TAG_namespace')


def is_cxx(unit):
    return unit.attribute('DW_AT_language') in CXX

class Case:
    """A disagreement, with what there is to judge it by."""

    def __init__(self, ours, theirs, facts, referee, names, same_chain):
        self.ours, self.theirs, self.facts, self.referee = ours, theirs, facts, referee
        self.names, self.same_chain = names, same_chain

    def would_be(self, chain):
        return self.same_chain(self.names, chain, self.theirs)

    def but_innermost(self, name=None, file=None):
        """profd's answer with another name or file in the innermost frame."""
        old = self.ours[0]
        return [(name or old[0], file or old[1], old[2]), *self.ours[1:]]


def starts_with_file_0(case):
    """The line table of DWARF 5 begins each sequence in file 1 (6.2.2 of the standard), and
    addr2line in file 0, until an instruction of the table names a file."""
    row, unit = case.facts.row, case.facts.unit
    return row is not None and not row.named and row.file == 1 and \
        unit.cu['version'] >= 5 and case.would_be(case.but_innermost(file=unit.file(0)))


def symbol_for_a_nameless_call(case):
    """An inlined C++ function without a linkage name (a lambda's operator(), a generic
    one's) is given the symbol of the function that it is inlined in by addr2line."""
    if len(case.facts.path) < 2 or not case.theirs:
        return False
    symbol = case.theirs[0][0]
    return names(case.facts.path[-1])[0] == '' and is_cxx(case.facts.unit) and \
        case.names.covers(symbol, case.facts.pc) and case.would_be(case.but_innermost(name=symbol))


def calls_of_the_rows_start(case):
    """eu-addr2line names the innermost function at the address, but looks for the calls
    around it at the address where the row of the line table begins."""
    row = case.facts.row
    if row is None or row.start == case.facts.pc:
        return False
    there = [(name or short, file, line)
             for (name, short), file, line in case.referee.look(row.start).chain()]
    return case.would_be([case.ours[0], *there[1:]])


def first_block_alone(case):
    """Of blocks side by side that overlap, eu-addr2line looks into the first, which need not
    be the one with the inlined call."""
    if len(case.facts.path) < 2:
        return False
    first = case.referee.look_at_first(case.facts.pc)
    if len(first.path) == len(case.facts.path):
        return False
    return case.would_be([(name or short, file, line)
                          for (name, short), file, line in first.chain()])


def symbol_alone(case):
    """What eu-addr2line says where it does not find the function among the entries."""
    if len(case.facts.path) < 2 or len(case.theirs) != 1:
        return False
    name = case.theirs[0][0]
    return case.names.covers(name, case.facts.pc) and case.would_be([(name, *case.ours[0][1:])])


def origin_in_another_unit(case):
    """eu-addr2line gives up on an inlined function that another unit describes (link-time
    optimization), with its name and all calls."""
    if not case.facts.path:
        return False
    origin = case.facts.path[-1].attributes.get('DW_AT_abstract_origin')
    return origin is not None and origin.form == 'DW_FORM_ref_addr' and symbol_alone(case)


def function_inside_a_type(case):
    """eu-addr2line looks for functions in entries that have code of their own, and so for
    none in types and namespaces, where those of lambdas and local classes are."""
    return (bool(case.facts.path) and case.facts.path[0].get_parent().tag in TYPES and
            symbol_alone(case))


def place_of_no_unit(case):
    """Code that no unit has, between that of one: eu-addr2line gives it the last place
    before it."""
    return case.facts.unit is None and len(case.ours) == len(case.theirs) == 1 and \
        case.ours[0][2] == 0 and case.names.same(case.ours[0][0], case.theirs[0][0])


def label_outside_code(case):
    """llvm-symbolizer takes labels that link-time optimization left in .debug_info, of no
    type, for code, and the nearest one before the address for the function's name."""
    if not case.theirs or not case.facts.path:
        return False
    label, function = case.theirs[-1][0], case.facts.path[0]
    value = case.names.labels.get(label, -1)
    inside = any(low <= value <= case.facts.pc < high
                 for low, high in case.referee.ranges(function))
    return inside and case.would_be([*case.ours[:-1], (label, *case.ours[-1][1:])])


RULES = {
    'addr2line': (starts_with_file_0, symbol_for_a_nameless_call),
    'eu-addr2line': (calls_of_the_rows_start, first_block_alone, origin_in_another_unit,
                     function_inside_a_type, place_of_no_unit),
    'llvm-symbolizer': (label_outside_code,),
}


def explain(tool, case):
    """The rule that applies, or None."""
    return next((rule for rule in RULES[tool] if rule(case)), None)

