-- The large table of mixed.sql alone, without indexes: for databases of growing size.
select setseed(0.5);
create table tx as
select i::bigint as id,
       i % 1000 as user_id,
       md5('ext ' || i)::uuid as ext_id,
       (array['USD', 'EUR', 'HKD', 'CNY', 'GBP'])[1 + i % 5] as currency,
       round((random() * 100000)::numeric, 4) as amount,
       round((random() * 10)::numeric, 8) as price,
       timestamptz '2022-01-01 00:00:00+00' + make_interval(secs => i) as created_at,
       timestamptz '2026-01-01 12:00:00.123456+00' as updated_at,
       'payment to merchant ' || i % 5000 || ' ref ' || md5(i::text) as description,
       jsonb_build_object('k', i % 100, 'tags', array['a', 'b'], 'note', 'note ' || i % 77) as meta,
       i % 3 = 0 as settled,
       random() * 1e6 as fx
from generate_series(1, :rows) as i;
vacuum analyze;
