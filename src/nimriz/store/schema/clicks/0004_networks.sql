-- What sort of network a click came from: scanner, hosting or gateway; '' for any other, and where none is known.
alter table clicks add column network text not null default '';
