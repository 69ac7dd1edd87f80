"""fix okx_market_data precision

Eight decimals turned SHIB and PEPE prices into zero.

Revision ID: 9ab46480ba00
Revises: c56f9f034ac1
Create Date: 2025-07-14 20:19:55.337098

"""
from alembic import op
import sqlalchemy as sa

revision = '9ab46480ba00'
down_revision = 'c56f9f034ac1'
branch_labels = None
depends_on = None

COLUMNS = ('open_price', 'high_price', 'low_price', 'last_price', 'volume')


def upgrade():
    for column in COLUMNS:
        op.alter_column('okx_market_data', column, existing_type=sa.Numeric(20, 8), type_=sa.Numeric(38, 18))


def downgrade():
    for column in COLUMNS:
        op.alter_column('okx_market_data', column, existing_type=sa.Numeric(38, 18), type_=sa.Numeric(20, 8))
