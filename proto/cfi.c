/*
 * Finding the call-frame records that cover an address.
 *
 * .eh_frame is a sequence of records: a CIE holds what many functions have in
 * common, an FDE describes one function and points back to its CIE. The linker
 * adds .eh_frame_hdr, a table of (function, FDE) sorted by function, which is
 * searched by halves; where there is none, or one in an encoding that linkers
 * do not write, the records are walked from the first on.
 *
 * Invariants: a byte is read only through a cursor whose ends lie inside the
 * section; each record is parsed through a cursor of its own length, so that a
 * lying field can at most spoil its own record; nothing recurses, and an FDE's
 * CIE pointer is followed once. Runs inside malloc on small signal stacks:
 * the deepest call chain needs less than 512 bytes of stack.
 */
#include "proto/cfi.h"

#include <errno.h>

#include "proto/cfi_code.h"
#include "proto/cfi_read.h"

enum { /* DW_EH_PE_*: how a pointer is written; low half the format, high half what it adds to */
       PE_ABSPTR = 0x00,
       PE_ULEB128 = 0x01,
       PE_UDATA2 = 0x02,
       PE_UDATA4 = 0x03,
       PE_UDATA8 = 0x04,
       PE_SLEB128 = 0x09,
       PE_SDATA2 = 0x0a,
       PE_SDATA4 = 0x0b,
       PE_SDATA8 = 0x0c,
       PE_FORMAT = 0x0f,
       PE_PCREL = 0x10,
       PE_DATAREL = 0x30,
       PE_RELATIVE = 0x70,
       PE_INDIRECT = 0x80,
       PE_OMIT = 0xff,
};

#define HDR_FIXED_BYTES 4 /* version and three encodings */
#define HDR_ENTRY_BYTES 8 /* of a table of PE_DATAREL | PE_SDATA4 */

int cfi_read_encoded(struct cfi_cursor *c, uint8_t encoding, uint64_t datarel, uint64_t *ret_value)
{
	uint64_t here = cfi_here(c), v;

	switch (encoding & PE_FORMAT) {
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		v = cfi_read(c, 8);
		break;
	case PE_UDATA2:
		v = cfi_read(c, 2);
		break;
	case PE_SDATA2:
		v = (uint64_t)(int16_t)cfi_read(c, 2);
		break;
	case PE_UDATA4:
		v = cfi_read(c, 4);
		break;
	case PE_SDATA4:
		v = (uint64_t)(int32_t)cfi_read(c, 4);
		break;
	case PE_ULEB128:
		v = cfi_uleb(c);
		break;
	case PE_SLEB128:
		v = (uint64_t)cfi_sleb(c);
		break;
	default:
		return -ENOTSUP;
	}
	if (c->bad)
		return -EBADMSG;
	if (encoding & PE_INDIRECT)
		return -ENOTSUP;

	if ((encoding & PE_RELATIVE) == PE_PCREL)
		v += here;
	else if ((encoding & PE_RELATIVE) == PE_DATAREL)
		v += datarel;
	else if (encoding & PE_RELATIVE)
		return -ENOTSUP;
	*ret_value = v;
	return 0;
}

/* A cursor over the record at @offset of .eh_frame, standing behind its length.
 * -ENOENT: the terminator, or the section's end. */
static int open_record(const struct cfi_module *m, uint64_t offset, struct cfi_cursor *ret_record)
{
	struct cfi_cursor c;
	uint64_t bytes;

	if (offset >= m->eh_frame_bytes)
		return -ENOENT;
	c = (struct cfi_cursor){
		.at = m->eh_frame + offset,
		.end = m->eh_frame + m->eh_frame_bytes,
		.vaddr = m->eh_frame_vaddr + m->eh_frame_bytes,
	};
	bytes = cfi_read(&c, 4);
	if (bytes == 0xffffffff)
		bytes = cfi_read(&c, 8);
	if (c.bad || bytes > cfi_left(&c))
		return -EBADMSG;
	if (bytes == 0)
		return -ENOENT;
	c.vaddr = cfi_here(&c) + bytes;
	c.end = c.at + bytes;
	*ret_record = c;
	return 0;
}

/* The augmentation string's letters say what the augmentation data holds. */
static int parse_augmentation(const char *letters, struct cfi_cursor *c, struct cfi_cie *cie)
{
	struct cfi_cursor data;
	uint64_t bytes;
	uint8_t encoding;

	if (*letters == '\0')
		return 0;
	if (*letters++ != 'z')
		return -ENOTSUP;

	cie->has_augmentation = true;
	bytes = cfi_uleb(c);
	data = *c;
	cfi_skip(c, bytes);
	if (c->bad)
		return -EBADMSG;
	data.vaddr = cfi_here(c);
	data.end = c->at;

	for (; *letters && !data.bad; letters++) {
		switch (*letters) {
		case 'R':
			cie->fde_encoding = cfi_u8(&data);
			break;
		case 'P': /* the value is not wanted, its length is */
			encoding = cfi_u8(&data);
			if (encoding != PE_OMIT &&
			    cfi_read_encoded(&data, encoding & PE_FORMAT, 0, &bytes) < 0)
				return -ENOTSUP;
			break;
		case 'L':
			cfi_u8(&data);
			break;
		case 'S':
			cie->signal = true;
			break;
		case 'B': /* return addresses are signed: aarch64 only, and no data */
			break;
		default:
			return -ENOTSUP;
		}
	}
	return data.bad ? -EBADMSG : 0;
}

/* Fills *cie in place, for stack is dear. */
static int parse_cie(const struct cfi_module *m, uint64_t offset, struct cfi_cie *cie)
{
	struct cfi_cursor c;
	const char *letters;
	uint64_t version, return_reg, code_align;
	int r;

	r = open_record(m, offset, &c);
	if (r < 0)
		return -EBADMSG;
	if (cfi_read(&c, 4) != 0) /* an FDE, where a CIE was promised */
		return -EBADMSG;
	*cie = (struct cfi_cie){.fde_encoding = PE_ABSPTR};
	version = cfi_u8(&c);
	if (version != 1 && version != 3 && version != 4)
		return c.bad ? -EBADMSG : -ENOTSUP;
	letters = (const char *)c.at;
	while (cfi_u8(&c))
		;
	if (version == 4 && cfi_read(&c, 2) != 8) /* 8-byte addresses, no segments */
		return -ENOTSUP;
	code_align = cfi_uleb(&c);
	cie->data_align = cfi_sleb(&c);
	return_reg = version == 1 ? cfi_u8(&c) : cfi_uleb(&c);
	if (c.bad || code_align > UINT16_MAX || cie->data_align < INT16_MIN ||
	    cie->data_align > INT16_MAX)
		return -EBADMSG;
	if (return_reg != CFI_RA)
		return -ENOTSUP;
	cie->code_align = (uint32_t)code_align;
	r = parse_augmentation(letters, &c, cie);
	if (r < 0)
		return r;
	cie->code = c;
	return 0;
}

/*
 * Parses the record at @offset, if it is an FDE. -ENOENT: no FDE, or it does not
 * cover @vaddr. @ret_next is where the following record begins.
 */
static int parse_fde(const struct cfi_module *m, uint64_t offset, uint64_t vaddr,
		     struct cfi_fde *fde, uint64_t *ret_next)
{
	struct cfi_cursor c;
	uint64_t id_offset, back, bytes;
	int r;

	*ret_next = m->eh_frame_bytes;
	r = open_record(m, offset, &c);
	if (r < 0)
		return r;
	*ret_next = (uint64_t)(c.end - m->eh_frame);
	id_offset = (uint64_t)(c.at - m->eh_frame);
	back = cfi_read(&c, 4);
	if (c.bad || back > id_offset)
		return -EBADMSG;
	if (back == 0)
		return -ENOENT;
	r = parse_cie(m, id_offset - back, &fde->cie);
	if (r < 0)
		return r;

	r = cfi_read_encoded(&c, fde->cie.fde_encoding, 0, &fde->start);
	if (r < 0)
		return r;
	r = cfi_read_encoded(&c, fde->cie.fde_encoding & PE_FORMAT, 0, &bytes);
	if (r < 0)
		return r;
	if (vaddr < fde->start || vaddr - fde->start >= bytes)
		return -ENOENT;
	fde->end = fde->start + bytes;
	if (fde->end < fde->start)
		return -EBADMSG;

	if (fde->cie.has_augmentation)
		cfi_skip(&c, cfi_uleb(&c));
	fde->code = c;
	return c.bad ? -EBADMSG : 0;
}

/* Where there is no table: every record in turn. A record that is damaged ends
 * the search only if the next one cannot be found. */
static int scan_fde(const struct cfi_module *m, uint64_t vaddr, struct cfi_fde *ret_fde)
{
	uint64_t offset = 0;

	for (unsigned i = 0; i < CFI_MAX_SCAN; i++) {
		int r = parse_fde(m, offset, vaddr, ret_fde, &offset);

		if (r == 0)
			return 0;
		if (offset >= m->eh_frame_bytes)
			return r;
	}
	return -ENOTSUP;
}

/* The table of .eh_frame_hdr, if it is the kind that can be searched by halves. */
static bool open_table(const struct cfi_module *m, const uint8_t **ret_table, uint64_t *ret_n)
{
	struct cfi_cursor c = {
		.at = m->hdr,
		.end = m->hdr + m->hdr_bytes,
		.vaddr = m->hdr_vaddr + m->hdr_bytes,
	};
	uint64_t ignored, n;
	uint8_t version, frame_encoding, count_encoding, table_encoding;

	version = cfi_u8(&c);
	frame_encoding = cfi_u8(&c);
	count_encoding = cfi_u8(&c);
	table_encoding = cfi_u8(&c);
	if (c.bad || version != 1 || count_encoding == PE_OMIT ||
	    table_encoding != (PE_DATAREL | PE_SDATA4))
		return false;
	if (cfi_read_encoded(&c, frame_encoding & PE_FORMAT, 0, &ignored) < 0 ||
	    cfi_read_encoded(&c, count_encoding, m->hdr_vaddr, &n) < 0)
		return false;
	*ret_table = c.at;
	*ret_n = n < cfi_left(&c) / HDR_ENTRY_BYTES ? n : cfi_left(&c) / HDR_ENTRY_BYTES;
	return true;
}

/* Entry @i's word @word (0: function, 1: FDE), an offset to .eh_frame_hdr. */
static uint64_t table_word(const struct cfi_module *m, const uint8_t *table, uint64_t i,
			   unsigned word)
{
	int32_t v;

	memcpy(&v, table + i * HDR_ENTRY_BYTES + word * 4, sizeof(v));
	return m->hdr_vaddr + (uint64_t)(int64_t)v;
}

/* Not to be inlined: its stack frame is then gone when the program is run. */
__attribute__((noinline)) static int find_fde(const struct cfi_module *m, uint64_t vaddr,
					      struct cfi_fde *ret_fde)
{
	const uint8_t *table;
	uint64_t n, low = 0, high, ignored;

	if (!m->hdr || !open_table(m, &table, &n))
		return scan_fde(m, vaddr, ret_fde);

	/* The last entry that is not behind vaddr is the one before low. */
	for (high = n; low < high;) {
		uint64_t middle = low + (high - low) / 2;

		if (table_word(m, table, middle, 0) <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return -ENOENT;
	return parse_fde(m, table_word(m, table, low - 1, 1) - m->eh_frame_vaddr, vaddr, ret_fde,
			 &ignored);
}

int cfi_find_row(const struct cfi_module *module, uint64_t vaddr, struct cfi_row *ret_row)
{
	struct cfi_fde fde;
	int r;

	if (!module->eh_frame)
		return -ENOENT;
	r = find_fde(module, vaddr, &fde);
	if (r < 0)
		return r;
	return cfi_code_run(&fde, vaddr, ret_row);
}

int cfi_module_from_hdr(const uint8_t *hdr, uint64_t hdr_vaddr, uint64_t before_bytes,
			uint64_t limit_bytes, struct cfi_module *ret_module)
{
	struct cfi_cursor c = {
		.at = hdr, .end = hdr + limit_bytes, .vaddr = hdr_vaddr + limit_bytes};
	uint64_t eh_frame;
	int64_t distance;
	uint8_t version, encoding;
	int r;

	version = cfi_u8(&c);
	encoding = cfi_u8(&c);
	cfi_skip(&c, HDR_FIXED_BYTES - 2);
	if (c.bad)
		return -EBADMSG;
	if (version != 1 || encoding == PE_OMIT)
		return -ENOTSUP;
	r = cfi_read_encoded(&c, encoding, hdr_vaddr, &eh_frame);
	if (r < 0)
		return r;

	distance = (int64_t)(eh_frame - hdr_vaddr);
	if (distance >= 0 ? (uint64_t)distance >= limit_bytes : -(uint64_t)distance > before_bytes)
		return -EBADMSG;
	*ret_module = (struct cfi_module){
		.hdr = hdr,
		.hdr_bytes = limit_bytes,
		.hdr_vaddr = hdr_vaddr,
		.eh_frame = hdr + distance,
		.eh_frame_bytes = limit_bytes - (uint64_t)distance,
		.eh_frame_vaddr = eh_frame,
	};
	return 0;
}
