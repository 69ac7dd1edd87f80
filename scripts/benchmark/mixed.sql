-- A database that is mostly one large table, as many are: :rows rows of a ledger, with twelve
-- columns of the usual types and about 260 bytes of COPY text each, a quarter of them random; and
-- five accounts for every four of them, short rows that compress well. The same on every run.
create table branches (id int primary key, name text not null);
insert into branches select i, 'branch ' || i from generate_series(1, 50) as i;

create table accounts (
  id int not null,
  branch_id int not null,
  balance int not null,
  filler char(84) not null
);
insert into accounts
select i, 1 + i % 50, 0, '' from generate_series(1, :rows * 5 / 4) as i;

create table tx (
  id bigint not null,
  user_id int not null,
  ext_id uuid not null,
  currency text not null,
  amount numeric not null,
  price numeric not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  description text not null,
  meta jsonb not null,
  settled boolean not null,
  fx float8 not null
);
select setseed(0.5);
insert into tx
select i,
       i % 1000,
       md5('ext ' || i)::uuid,
       (array['USD', 'EUR', 'HKD', 'CNY', 'GBP'])[1 + i % 5],
       round((random() * 100000)::numeric, 4),
       round((random() * 10)::numeric, 8),
       timestamptz '2022-01-01 00:00:00+00' + make_interval(secs => i),
       timestamptz '2026-01-01 12:00:00.123456+00',
       'payment to merchant ' || i % 5000 || ' ref ' || md5(i::text),
       jsonb_build_object('k', i % 100, 'tags', array['a', 'b'], 'note', 'note ' || i % 77),
       i % 3 = 0,
       random() * 1e6
from generate_series(1, :rows) as i;

alter table accounts add primary key (id);
alter table accounts add foreign key (branch_id) references branches;
alter table tx add primary key (id);
create index on tx (user_id, created_at);
create index on tx (ext_id);
vacuum analyze;
