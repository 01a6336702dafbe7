# Hashes, regular expressions, sorting.
use strict;
use warnings;

my ($x, %count, %by_length, @lines) = (1);
sub number { $x = ($x * 1103515245 + 12345) % 2147483648; return $x >> 8; }

push @lines, join ' ', map { 'w' . number() % 20000 . ('a' .. 'z')[number() % 26] } 1 .. 12
	for 1 .. 25000;
for my $line (@lines) {
	$count{$1}++ while $line =~ /\b(w\d+[a-m])\b/g;
	(my $other = $line) =~ s/(\d)(\d)/$2$1/g;
	push @{$by_length{length $other}}, $other;
}
my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print "$_ $count{$_}\n" for @sorted[0 .. 20];
print "$_: ", scalar @{$by_length{$_}}, ' ', (sort @{$by_length{$_}})[0], "\n"
	for sort { $a <=> $b } keys %by_length;
