-- Which clicks were forgotten lately, so that copies forget them too.
create table forgotten (
    seq @sequence,
    click_seq bigint not null
);
