"""add exclude_dates to dca_plans

Revision ID: f9adc45cf4ec
Revises: 04f8249fc418
Create Date: 2025-07-06 19:50:13.870226

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = 'f9adc45cf4ec'
down_revision: Union[str, None] = '04f8249fc418'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    op.add_column('dca_plans', sa.Column('exclude_dates', postgresql.ARRAY(sa.Date()),
                                         server_default=sa.text("'{}'::date[]"), nullable=False,
                                         comment='排除日期'))
    op.add_column('dca_plans', sa.Column('exclude_reasons', postgresql.ARRAY(sa.Text())))


def downgrade() -> None:
    op.drop_column('dca_plans', 'exclude_reasons')
    op.drop_column('dca_plans', 'exclude_dates')
