#!/usr/bin/env python3
"""Makes debug information that is not to be read to its end.

    debug-bombs.py sections FILE     .debug_info becomes 1 GiB of zeros, compressed
    debug-bombs.py lying FILE        .debug_info states 4 KiB and holds more
    debug-bombs.py lines IN OUT      a .debug_line of DWARF 5 goes on for 128 Mi rows
"""
import struct
import sys
import zlib


def section(data, wanted):
    """(offset of its header, offset, size)"""
    at, = struct.unpack_from('<Q', data, 40)
    size, n, names = struct.unpack_from('<HHH', data, 58)
    names_at, = struct.unpack_from('<Q', data, at + names * size + 24)
    for i in range(n):
        header = at + i * size
        name = names_at + struct.unpack_from('<I', data, header)[0]
        if data[name:data.index(b'\0', name)] == wanted:
            return header, *struct.unpack_from('<QQ', data, header + 24)
    sys.exit(f'no {wanted}')


def replace_packed(path, stated, packed):
    """Moves the section to the end of the file, with the flag and the words of a packed one."""
    data = bytearray(open(path, 'rb').read())
    header, _, _ = section(data, b'.debug_info')
    flags, = struct.unpack_from('<Q', data, header + 8)
    data += b'\0' * (-len(data) % 8)
    body = struct.pack('<IIQQ', 1, 0, stated, 1) + packed
    struct.pack_into('<Q', data, header + 8, flags | 0x800)
    struct.pack_into('<QQ', data, header + 24, len(data), len(body))
    open(path, 'wb').write(data + body)


def zeros(n):
    squeeze = zlib.compressobj(1)
    packed = b''.join(squeeze.compress(bytes(1 << 20)) for _ in range(n >> 20))
    return packed + squeeze.flush()


kind, path = sys.argv[1:3]
if kind == 'sections':
    replace_packed(path, 1 << 30, zeros(1 << 30))
elif kind == 'lying':
    replace_packed(path, 4096, zeros(64 << 20))
elif kind == 'lines':
    table = open(path, 'rb').read()
    start = 12 + struct.unpack_from('<I', table, 8)[0]
    rows = bytes([0x4b]) * (128 << 20)
    end = b'\0\1\1'
    with open(sys.argv[3], 'wb') as out:
        out.write(struct.pack('<I', start - 4 + len(rows) + len(end)) + table[4:start])
        out.write(rows + end)
